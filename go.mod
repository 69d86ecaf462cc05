module github.com/tidegate/tidegate

go 1.25.0
