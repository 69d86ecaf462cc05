module github.com/tidegate/tidegate/tests/endpoint

go 1.25.0
