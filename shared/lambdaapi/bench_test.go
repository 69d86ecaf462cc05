package lambdaapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkDecode reads events whose bodies are 1,000 rows of 30 columns. Decoding overwrites the event, so each turn
// copies it first, as reading it from the Runtime API does.
func BenchmarkDecode(b *testing.B) {
	numbers := strings.Repeat("-1.2675974,", 30_000)
	text := `{"inputs":[{"name":"x","datatype":"FP32","shape":[1000,30],"data":[` + strings.TrimSuffix(numbers, ",") + `]}]}`
	quoted, err := json.Marshal(text)
	if err != nil {
		b.Fatal(err)
	}
	tensors := base64.StdEncoding.EncodeToString(make([]byte, 120_000))
	for name, body := range map[string]string{
		"json":   fmt.Sprintf(`%s,"isBase64Encoded":false`, quoted),
		"binary": fmt.Sprintf(`"%s","isBase64Encoded":true`, tensors),
	} {
		event := []byte(`{"version":"2.0","rawPath":"/v2/models/m/infer","headers":{"content-type":"application/json"},` +
			`"requestContext":{"http":{"method":"POST"},"stage":"$default","timeEpoch":1700000000000},"body":` + body + `}`)
		b.Run(name, func(b *testing.B) {
			var e httpEvent
			payload := make([]byte, len(event))
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			for b.Loop() {
				copy(payload, event)
				if err := e.decode(payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
