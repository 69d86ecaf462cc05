package main

import (
	"slices"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
	"github.com/tidegate/tidegate/shared/registry"
)

const inferBody = `{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}`

// second is another file that computes the same: field 6 of an ONNX model is a text about it.
func second(file []byte) []byte {
	return append(slices.Clone(file), 6<<3|2, 1, '2')
}

// blobKey is where the model's file of a version lies.
func blobKey(t *testing.T, world *inferencetest.World, model string, version int) string {
	t.Helper()
	manifest, err := world.Registry.Manifest(t.Context(), model, version)
	if err != nil {
		t.Fatal(err)
	}
	file, ok := manifest.File("model.onnx")
	if !ok {
		t.Fatalf("%s@%d has no model.onnx", model, version)
	}
	return registry.BlobKey(file.SHA256)
}

// answered asks once and checks who answered; generation "" is any.
func (f *function) answered(t *testing.T, model, version, generation string) {
	t.Helper()
	answer := f.post(t, "/v2/models/"+model+"/infer", inferBody)
	if got := answer.Headers["Tidegate-Model-Version"]; answer.StatusCode != 200 || got != version || generation != "" && answer.Headers["Tidegate-Generation"] != generation {
		t.Errorf("%s: status %d by version %q of generation %q, want %s of %s: %s", model, answer.StatusCode, got, answer.Headers["Tidegate-Generation"], version, generation, answer.Body)
	}
}

// refused asks once and wants 503 with Retry-After.
func (f *function) refused(t *testing.T, model string) {
	t.Helper()
	answer := f.post(t, "/v2/models/"+model+"/infer", inferBody)
	if answer.StatusCode != 503 || answer.Headers["Retry-After"] == "" {
		t.Errorf("%s: status %d, Retry-After %q, want 503: %s", model, answer.StatusCode, answer.Headers["Retry-After"], answer.Body)
	}
}

// eventually asks until version answers.
func (f *function) eventually(t *testing.T, model, version string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		answer := f.post(t, "/v2/models/"+model+"/infer", inferBody)
		if answer.StatusCode == 200 && answer.Headers["Tidegate-Model-Version"] == version {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: version %s does not answer: %d %s", model, version, answer.StatusCode, answer.Body)
		}
	}
}

// TestDamagedVersions: of a version whose blob is missing or another than its digest says, or whose state makes no sense, nothing
// is served; the version that was loaded before serves on, and the new one follows once it is repaired.
func TestDamagedVersions(t *testing.T) {
	world := inferencetest.New(t)
	models := []string{"missing", "damaged", "corrupt"}
	for _, model := range models {
		serve(t, world, model, "affine")
		serve(t, world, "cold-"+model, "affine")
	}
	file, s := describe(t, "affine")
	// Blobs are shared by content: the cold models need files of their own to be damaged alone.
	for _, model := range []string{"cold-missing", "cold-damaged"} {
		world.Serve(model, world.Publish(model, 2, append(second(file), 6<<3|2, 1, model[5]), s))
	}
	cloud := open(t, nil)
	mirror(t, world, cloud, blobKey(t, world, "cold-missing", 2))
	f := start(t, cloud, nil)
	for _, model := range models {
		f.answered(t, model, "1", "1")
	}

	for i, model := range models[:2] {
		world.Serve(model, world.Publish(model, 2, append(second(file), 6<<3|2, 1, byte('x'+i)), s))
	}
	absent := []string{blobKey(t, world, "missing", 2), blobKey(t, world, "cold-missing", 2)}
	mirror(t, world, cloud, absent...)
	cloud.S3.Put(bucket, blobKey(t, world, "damaged", 2), file)
	cloud.S3.Put(bucket, blobKey(t, world, "cold-damaged", 2), file[:len(file)-1])
	cloud.S3.Put(bucket, registry.StateKey("corrupt"), []byte(`{"v":1,"model":`))
	cloud.S3.Put(bucket, registry.StateKey("cold-corrupt"), []byte(`{"v":1,"model":"cold-corrupt","generation":0}`))
	for _, model := range models {
		f.refused(t, "cold-"+model)
	}

	time.Sleep(2600 * time.Millisecond) // a state is looked at again 2.5 s after it was read
	for range 2 {                       // the first request's end looks, the second is served after that
		for _, model := range models {
			f.answered(t, model, "1", "1")
		}
	}
	if n := f.counted(t, "LoadFailures"); n < 4 {
		t.Errorf("LoadFailures is %v, want that of 4 versions", n)
	}
	if n := f.counted(t, "StateErrors"); n < 2 {
		t.Errorf("StateErrors is %v, want that of 2 states", n)
	}

	mirror(t, world, cloud)
	f.eventually(t, "missing", "2")
	f.eventually(t, "damaged", "2")
	f.eventually(t, "corrupt", "1")
	f.eventually(t, "cold-corrupt", "1")
}

// TestS3Down: without its registry a process starts and answers 503, and serves as soon as S3 is back; one that is warm serves on.
func TestS3Down(t *testing.T) {
	world := inferencetest.New(t)
	serve(t, world, "affine", "affine")
	cloud := open(t, world)
	cloud.S3.SetDown(true)
	f := start(t, cloud, map[string]string{"TIDEGATE_PRELOAD_MODELS": "affine"})
	f.refused(t, "affine")
	if health := f.send(t, lambdaapitest.NewHTTPEvent("GET", "/v2/health/live", "")); health.StatusCode != 200 {
		t.Errorf("live: status %d", health.StatusCode)
	}
	cloud.S3.SetDown(false)
	f.eventually(t, "affine", "1")

	cloud.S3.SetDown(true)
	time.Sleep(5100 * time.Millisecond) // beyond 5 s a state is stale
	for range 3 {
		f.answered(t, "affine", "1", "1")
	}
	if n := f.counted(t, "StateStale"); n < 1 {
		t.Errorf("StateStale is %v, want the requests that a stale state answered", n)
	}
	if n := f.cloud.Firehose.Taken().Lines; n < 4 {
		t.Errorf("%d captures, want those of all answers", n)
	}
}
