package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/oklog/ulid/v2"

	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/pause"
	"github.com/tidegate/tidegate/tests/local/stack"
)

// weights are those of the six steps, in hundredths of a percent.
var weights = []int{1000, 2500, 5000, 7500, 9000, 10000}

// rolloutSettings are bakes of seconds, and bounds that so few pairs reach. Errors and latencies of a machine that
// runs everything say nothing.
func rolloutSettings(approval string) string {
	var steps []string
	for _, w := range weights {
		steps = append(steps, fmt.Sprintf(`{"weight":%d,"bake_seconds":3}`, w))
	}
	return fmt.Sprintf(`{"rollout":{"approval":%q,"approval_seconds":120,"steps":[%s]},"comparison":{"n_step":20,"first_look":{"pairs":100,"per_class":10},
		"abort_first_look":{"pairs":60,"per_class":10},"min_blocks":1,"max_wait":100,"expected_pairs":400,
		"guardrails":{"error_ratio":{"off":true},"latency":{"off":true},"log_loss":{"off":true}}}}`, approval, strings.Join(steps, ","))
}

// linear is affine.onnx with other numbers: the score of the positive class is bias + a·x0 + b·x1.
func linear(t *testing.T, bias, a, b float32) []byte {
	t.Helper()
	content := read(t, testdata("inference", "onnx", "testdata", "affine.onnx"))
	replace := func(old, new []float32) {
		from, to := floats(old), floats(new)
		if bytes.Count(content, from) != 1 {
			t.Fatal("affine.onnx does not hold its numbers as they are expected")
		}
		content = bytes.Replace(content, from, to, 1)
	}
	replace([]float32{1, 2, 3, 4, 5, 6}, []float32{-a, a, -b, b, 0, 0})
	replace([]float32{0.5, -0.5}, []float32{1 - bias, bias})
	return content
}

func floats(values []float32) []byte {
	var out []byte
	for _, v := range values {
		bits := math.Float32bits(v)
		out = append(out, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
	}
	return out
}

// registered adds a version to a model.
func registered(t *testing.T, model string, onnx []byte) int {
	t.Helper()
	uri, err := local.Upload(t.Context(), "uploads/"+ulid.Make().String()+"/model.onnx", onnx)
	if err != nil {
		t.Fatal(err)
	}
	event, err := json.Marshal(map[string]any{"model": model, "task": "binary_classification", "source": uri, "actor": "test"})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := local.Invoke(t.Context(), "register", event)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatal(err)
	}
	return out.Version
}

// answer is one answered request of the traffic.
type answer struct {
	key                 string
	generation, version int
	at                  time.Time
}

// traffic is requests with sticky keys, whose labels are posted as they are known.
type traffic struct {
	model   string
	request func(*rand.Rand) (body string, label int)
	mu      sync.Mutex
	answers []answer
	labels  []map[string]any
	failed  []string
	stop    func()
	running sync.WaitGroup
}

// ofThree is a request of the input x with three values: the label is 1 with probability x1.
func ofThree(rng *rand.Rand) (body string, label int) {
	x0, x1 := rng.Float64(), rng.Float64()
	if rng.Float64() < x1 {
		label = 1
	}
	return fmt.Sprintf(`{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[%g,%g,0]}]}`, x0, x1), label
}

// think is how long a worker of the traffic waits between two requests: the emulator is one process, and what waits for it
// beside the traffic, machines and schedules, would wait for long.
const think = 50 * time.Millisecond

// drive sends requests until the test ends or stops it.
func drive(t *testing.T, model string, keys int, request func(*rand.Rand) (string, int)) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &traffic{model: model, request: request}
	f.stop = func() { cancel(); f.running.Wait() }
	t.Cleanup(f.stop)
	for worker := range 3 {
		f.running.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 6))
			for pause.For(ctx, think) == nil {
				f.send(ctx, rng, fmt.Sprint("customer-", rng.IntN(keys)))
			}
		})
	}
	f.running.Go(func() {
		for pause.For(ctx, time.Second) == nil {
			f.post(ctx)
		}
	})
	return f
}

func (f *traffic) send(ctx context.Context, rng *rand.Rand, key string) {
	body, label := f.request(rng)
	at := time.Now()
	res, text, err := local.Call(ctx, http.MethodPost, "/v2/models/"+f.model+"/infer", map[string]string{"Tidegate-Key": key}, []byte(body))
	if ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || res.StatusCode != http.StatusOK {
		status := 0
		if res != nil {
			status = res.StatusCode
		}
		f.failed = append(f.failed, fmt.Sprintf("%v %d %s", err, status, text))
		return
	}
	a := answer{key: key, at: at}
	a.generation, _ = strconv.Atoi(res.Header.Get("Tidegate-Generation"))
	a.version, _ = strconv.Atoi(res.Header.Get("Tidegate-Model-Version"))
	f.answers = append(f.answers, a)
	f.labels = append(f.labels, map[string]any{"id": res.Header.Get("Tidegate-Inference-Id"), "label": label})
}

// post sends the labels that are known by now.
func (f *traffic) post(ctx context.Context) {
	f.mu.Lock()
	labels := f.labels
	f.labels = nil
	f.mu.Unlock()
	if len(labels) == 0 {
		return
	}
	body, err := json.Marshal(map[string]any{"labels": labels})
	if err == nil {
		var res *http.Response
		if res, _, err = local.Call(ctx, http.MethodPost, "/v1/feedback/"+f.model, nil, body); err == nil && res.StatusCode == http.StatusOK {
			return
		}
	}
	if ctx.Err() == nil {
		f.mu.Lock()
		f.failed = append(f.failed, fmt.Sprintf("labels: %v", err))
		f.mu.Unlock()
	}
}

// seen returns what was answered so far.
func (f *traffic) seen() []answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]answer(nil), f.answers...)
}

// state is the part of a state that is looked at here.
type state struct {
	Generation int `json:"generation"`
	Weights    struct {
		Challenger int `json:"challenger"`
	} `json:"weights"`
	Slots struct {
		Champion   *struct{ Version int } `json:"champion"`
		Challenger *struct{ Version int } `json:"challenger"`
	} `json:"slots"`
	Rollout *struct {
		ID     string `json:"id"`
		Step   int    `json:"step"`
		Status string `json:"status"`
	} `json:"rollout"`
	Rejected map[string]string `json:"rejected"`
	Last     struct {
		ID       string   `json:"transition_id"`
		Kind     string   `json:"kind"`
		Reason   string   `json:"reason"`
		Evidence []string `json:"evidence"`
	} `json:"last"`
}

// logOf reads the log of a model, by generation from 1.
func logOf(t *testing.T, model string) []state {
	t.Helper()
	bucket := s3.New(s3.NewClient(local.Config()), local.Outputs["RegistryBucketName"])
	var all []state
	for info, err := range bucket.List(t.Context(), "models/"+model+"/log/", "") {
		if err != nil {
			t.Fatal(err)
		}
		obj, err := bucket.Get(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		var s state
		if err := json.Unmarshal(obj.Body, &s); err != nil {
			t.Fatal(err)
		}
		if all = append(all, s); s.Generation != len(all) {
			t.Fatalf("generation %d is entry %d of the log", s.Generation, len(all))
		}
	}
	return all
}

// led is what tidegate rollout start says.
type led struct {
	RolloutID string `json:"rollout_id"`
	Execution string `json:"execution"`
}

// outcome of an execution of the rollout machine.
func rolloutOutcome(ctx context.Context, t *testing.T, execution string) string {
	t.Helper()
	machines := sfn.NewFromConfig(local.Config())
	var out struct {
		Outcome string `json:"outcome"`
		Summary string `json:"summary"`
	}
	err := stack.Eventually(ctx, func() (bool, error) {
		d, err := machines.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &execution})
		if err != nil || d.Status == types.ExecutionStatusRunning {
			return false, err
		}
		if d.Status != types.ExecutionStatusSucceeded {
			return false, fmt.Errorf("%s: %s: %s", d.Status, aws.ToString(d.Error), aws.ToString(d.Cause))
		}
		return true, json.Unmarshal([]byte(aws.ToString(d.Output)), &out)
	})
	if err != nil {
		t.Fatalf("%s: %v", execution, err)
	}
	return out.Outcome
}

func configure(t *testing.T, model, settings string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, 0, "configure", model, file, "--reason", "a test")
}

// waitFor looks at the newest entry of the log until it is as wanted.
func waitFor(ctx context.Context, t *testing.T, model, what string, is func(state) bool) {
	t.Helper()
	err := stack.Eventually(ctx, func() (bool, error) {
		log := logOf(t, model)
		return len(log) > 0 && is(log[len(log)-1]), nil
	})
	if err != nil {
		log := logOf(t, model)
		t.Fatalf("%s: %v; the newest state is %+v", what, err, log[len(log)-1])
	}
}

// A better version takes all of the traffic in six steps, under live traffic and with an approval; a broken one is
// taken back in its first; then a person rolls back, of a frozen model.
func TestRollout(t *testing.T) {
	t.Parallel() // most of it is waiting for bakes and schedules
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute)
	defer cancel()
	model := stack.Name(t.Name())
	if _, err := local.Serve(ctx, model, "binary_classification", linear(t, 0.45, 0.1, 0)); err != nil { // knows nothing of x1
		t.Fatal(err)
	}
	better, broken := registered(t, model, linear(t, 0, 0, 1)), registered(t, model, linear(t, 1, 0, -1))
	configure(t, model, rolloutSettings("start"))
	f := drive(t, model, 600, ofThree)

	var first led
	document(t, &first, "rollout", "start", model, fmt.Sprint(better), "--waive", "evidence,parity", "--reason", "the test knows that it is better")
	id := first.RolloutID
	if err := stack.Eventually(ctx, func() (bool, error) {
		ran := tidegate(t, "approve", model+"/"+id+"-start", "--reason", "looks right")
		return ran.code == 0, nil
	}); err != nil {
		t.Fatal("nobody asks for an approval")
	}
	if got := rolloutOutcome(ctx, t, first.Execution); got != "promote" {
		t.Fatalf("the rollout ended by %s", got)
	}
	log := logOf(t, model)
	wantMoves(t, log, id, better)
	if len(f.failed) > 0 {
		t.Errorf("%d requests failed, the first with %s", len(f.failed), f.failed[0])
	}
	checkRouting(t, f.seen(), log, id, better)

	// Inverted scores: caught by the pairs of the first step.
	configure(t, model, rolloutSettings("none"))
	var second led
	document(t, &second, "rollout", "start", model, fmt.Sprint(broken), "--waive", "evidence,parity", "--reason", "a person insists")
	if got := rolloutOutcome(ctx, t, second.Execution); got != "abort" {
		t.Errorf("the rollout of the broken version ended by %s", got)
	}
	log = logOf(t, model)
	for _, s := range log {
		if s.Rollout != nil && s.Rollout.ID == second.RolloutID && s.Weights.Challenger > weights[0] {
			t.Errorf("the broken version got %d of 10,000 keys", s.Weights.Challenger)
		}
	}
	if end := log[len(log)-1]; end.Last.Kind != "abort" || end.Rejected[fmt.Sprint(broken)] == "" || len(end.Last.Evidence) != 1 {
		t.Errorf("the end is %+v", end)
	}

	// One write takes the new champion back, whatever is frozen.
	says(t, 0, "freeze", model, "--for", "1h", "--reason", "audit")
	says(t, 0, "rollback", model, "--reason", "the test says so")
	written := time.Now()
	const within = 5 * time.Second
	time.Sleep(2 * within)
	f.stop()
	late, old := time.Duration(0), 0
	for _, a := range f.seen() {
		if since := a.at.Sub(written); since > 0 && a.version == better {
			late = max(late, since)
		} else if since > 0 && a.version == 1 {
			old++
		}
	}
	t.Logf("after the rollback the last answer of version %d was %.1f s after the write; %d of version 1 followed", better, late.Seconds(), old)
	if late > within || old == 0 {
		t.Errorf("answers of a version that was rolled back %s before", late)
	}
	if len(f.failed) > 0 {
		t.Errorf("%d requests failed, the first with %s", len(f.failed), f.failed[0])
	}
}

// wantMoves holds the log to the moves of one rollout, each made once under its own id.
func wantMoves(t *testing.T, log []state, id string, version int) {
	t.Helper()
	want := []string{id}
	for step := range len(weights) - 1 {
		want = append(want, fmt.Sprintf("%s/advance/%d", id, step))
	}
	want = append(want, fmt.Sprintf("%s/promote/%d", id, len(weights)-1))
	var got []string
	for _, s := range log[2:] { // after bootstrap and configure
		got = append(got, s.Last.ID)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the moves are %v, want %v", got, want)
	}
	if end := log[len(log)-1]; end.Slots.Champion == nil || end.Slots.Champion.Version != version || end.Rollout != nil {
		t.Errorf("in the end the state is %+v", end)
	}
}

// checkRouting: within a generation each key has one version; over the generations of a rollout none goes back; the
// share of keys is that of the step's weight, within what chance does.
func checkRouting(t *testing.T, answers []answer, log []state, id string, version int) {
	t.Helper()
	of := map[int]map[string]int{} // version by generation and key
	for _, a := range answers {
		if of[a.generation] == nil {
			of[a.generation] = map[string]int{}
		}
		if before, ok := of[a.generation][a.key]; ok && before != a.version {
			t.Errorf("in generation %d key %s had versions %d and %d", a.generation, a.key, before, a.version)
		}
		of[a.generation][a.key] = a.version
	}
	moved := map[string]int{} // key by the generation in which the challenger answered it first
	for _, s := range log {
		if s.Rollout == nil || s.Rollout.ID != id {
			continue
		}
		keys, share := len(of[s.Generation]), float64(s.Weights.Challenger)/10000
		n := 0
		for key, v := range of[s.Generation] {
			if v == version {
				n++
				if _, ok := moved[key]; !ok {
					moved[key] = s.Generation
				}
			} else if before, ok := moved[key]; ok {
				t.Errorf("key %s had the challenger in generation %d and not in %d", key, before, s.Generation)
			}
		}
		if keys == 0 {
			t.Errorf("no request was answered in generation %d", s.Generation)
			continue
		}
		// Of the keys that were seen, the share of the challenger is a binomial draw.
		sigma := math.Sqrt(share * (1 - share) * float64(keys))
		t.Logf("step %d: %d of %d keys, %.1f expected", s.Rollout.Step, n, keys, share*float64(keys))
		if math.Abs(float64(n)-share*float64(keys)) > 4*sigma+1 {
			t.Errorf("at weight %d %d of %d keys had the challenger, which is not chance", s.Weights.Challenger, n, keys)
		}
	}
}

// A person's move wins: the machine waits while the rollout is paused, goes on when it is resumed, and ends by itself
// when it is aborted.
func TestPersonLeadsTheMachine(t *testing.T) {
	t.Parallel() // most of it is waiting for bakes and schedules
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	model := stack.Name(t.Name())
	if _, err := local.Serve(ctx, model, "binary_classification", linear(t, 0.45, 0.1, 0)); err != nil {
		t.Fatal(err)
	}
	version := registered(t, model, linear(t, 0, 0, 1))
	configure(t, model, rolloutSettings("none"))
	drive(t, model, 100, ofThree)
	var l led
	document(t, &l, "rollout", "start", model, fmt.Sprint(version), "--waive", "evidence,parity", "--reason", "a test")
	waitFor(ctx, t, model, "start", func(s state) bool { return s.Rollout != nil })
	says(t, 0, "rollout", "pause", model, "--reason", "lunch")
	paused := logOf(t, model)
	time.Sleep(8 * time.Second) // more than a poll and a bake
	if after := logOf(t, model); len(after) != len(paused) {
		t.Errorf("of a paused rollout the machine made the move %+v", after[len(after)-1].Last)
	}
	step := paused[len(paused)-1].Rollout.Step
	says(t, 0, "rollout", "resume", model, "--reason", "back")
	waitFor(ctx, t, model, "advance", func(s state) bool { return s.Rollout == nil || s.Rollout.Step > step })
	if ran := tidegate(t, "rollout", "abort", model, "--reason", "no more"); ran.code != 0 {
		t.Fatalf("abort: %s", ran.errors)
	}
	if got := rolloutOutcome(ctx, t, l.Execution); got != "abort" {
		t.Errorf("the execution says %s", got)
	}
	if end := logOf(t, model); end[len(end)-1].Last.Kind != "abort" || end[len(end)-1].Slots.Champion.Version != 1 {
		t.Errorf("after the abort the machine made the move %+v", end[len(end)-1].Last)
	}
}
