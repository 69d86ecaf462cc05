package telemetry

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/oip/wire"
)

// maxMeasures bounds the metrics of one line: the format takes 100.
const maxMeasures = 64

// Measure writes a line of figures of one model, which become metrics with the
// dimension Model: what a job found, as opposed to a request. msg says what the
// line is. Names are constants of the program, by the rules of [Telemetry.Count];
// others, and values that are no finite number, are left out.
func (t *Telemetry) Measure(msg, model string, values map[string]float64) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(values)), func(name string) bool {
		return !countable(name) || math.IsNaN(values[name]) || math.IsInf(values[name], 0)
	})
	names = names[:min(len(names), maxMeasures)]
	if len(names) == 0 || model == "" {
		return
	}
	now := t.now().UTC()
	b := append([]byte(`{"time":"`), now.Format(time.RFC3339Nano)...)
	b = wire.AppendString(append(b, `","level":"INFO","msg":`...), truncate(msg, maxText))
	b = wire.AppendString(append(b, `,"Model":`...), truncate(model, maxText))
	for _, name := range names {
		b = append(wire.AppendString(append(b, ','), name), ':')
		b = strconv.AppendFloat(b, values[name], 'g', -1, 64)
	}
	b = append(b, `,"_aws":{"Timestamp":`...)
	b = strconv.AppendInt(b, now.UnixMilli(), 10)
	b = append(b, `,"CloudWatchMetrics":[{"Namespace":`...)
	b = append(wire.AppendString(b, t.namespace), `,"Dimensions":[["Model"]],"Metrics":[`...)
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMetric(b, name, unitCount)
		b = b[:len(b)-1] // the comma
	}
	_ = t.writeOut(append(b, "]}]}}\n"...)) // as for requests: a line that cannot be written has nowhere to go
}
