package registry_test

import (
	"encoding/json"

	"github.com/tidegate/tidegate/shared/registry"
)

func encode(s registry.State) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}
