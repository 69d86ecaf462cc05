package training

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// LambdaPayload is what the train function takes (docs/formats/training.md).
type LambdaPayload struct {
	Model           string            `json:"model"`
	Task            schema.Task       `json:"task"`
	SchemaURI       string            `json:"schema_uri"`
	DataURI         string            `json:"data_uri"`
	OutputURI       string            `json:"output_uri"`
	Hyperparameters map[string]string `json:"hyperparameters"`
}

// attempts is how many jobs a run may start: the name of one that failed is taken for ever.
const attempts = 3

// job is where the training of a run works: below uploads/<stem>/ of the registry bucket.
type job struct{ stem string }

// jobOf names the training of a run. Names are letters, digits and hyphens, at most 63
// with the attempt behind them.
func jobOf(model, run, key string) job {
	sum := sha256.Sum256([]byte(run + "\x00" + key))
	name := strings.ReplaceAll(model[:min(len(model), 20)], "_", "-")
	return job{stem: name + "-" + hex.EncodeToString(sum[:])[:12]}
}

// trained is the folder that register takes.
func (j job) trained() string { return "uploads/" + j.stem + "/model/" }

// channel is the folder of the training channel, out that of SageMaker's archives.
func (j job) channel() string { return "uploads/" + j.stem + "/training/" }
func (j job) out() string     { return "uploads/" + j.stem + "/jobs" }

func (j job) names() []string {
	names := make([]string, attempts)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", j.stem, i+1)
	}
	return names
}

// Request is CreateTrainingJob's input but the name, in AWS's casing: a machine passes
// it field by field.
type Request struct {
	AlgorithmSpecification struct {
		TrainingImage     string
		TrainingInputMode string
	}
	RoleArn          string
	HyperParameters  map[string]string
	InputDataConfig  []Channel
	OutputDataConfig struct{ S3OutputPath string }
	ResourceConfig   struct {
		InstanceType   string
		InstanceCount  int
		VolumeSizeInGB int
	}
	StoppingCondition      struct{ MaxRuntimeInSeconds int }
	EnableNetworkIsolation bool
	Tags                   []Tag
}

// Channel is one input of a job.
type Channel struct {
	ChannelName string
	ContentType string
	InputMode   string
	DataSource  struct {
		S3DataSource struct {
			S3DataType             string
			S3Uri                  string
			S3DataDistributionType string
		}
	}
}

// Tag is a label of AWS.
type Tag struct{ Key, Value string }

func (p *Planner) request(t *Trainer, hyper map[string]string, task schema.Task, model string, j job) *Request {
	r := &Request{RoleArn: t.Role, HyperParameters: maps.Clone(hyper), EnableNetworkIsolation: t.NetworkIsolation, Tags: []Tag{{"tidegate:model", model}}}
	if r.HyperParameters == nil {
		r.HyperParameters = map[string]string{}
	}
	r.HyperParameters["model"], r.HyperParameters["task"] = model, string(task)
	r.AlgorithmSpecification.TrainingImage, r.AlgorithmSpecification.TrainingInputMode = t.Image, "File"
	c := Channel{ChannelName: "training", ContentType: "text/csv", InputMode: "File"}
	c.DataSource.S3DataSource.S3DataType, c.DataSource.S3DataSource.S3DataDistributionType = "S3Prefix", "FullyReplicated"
	c.DataSource.S3DataSource.S3Uri = p.uri(j.channel())
	r.InputDataConfig = []Channel{c}
	r.OutputDataConfig.S3OutputPath = p.uri(j.out())
	r.ResourceConfig.InstanceType, r.ResourceConfig.InstanceCount, r.ResourceConfig.VolumeSizeInGB = t.InstanceType, 1, t.VolumeGB
	r.StoppingCondition.MaxRuntimeInSeconds = t.MaxRuntimeSeconds
	return r
}

// layChannel copies rows and schema to where a job finds them under the names of the
// contract: a channel's files have the names of their keys, and a blob's is its digest.
func (p *Planner) layChannel(ctx context.Context, j job, described *dataset.Schema, digest string, size int64) error {
	f, err := p.spool(ctx, registry.BlobKey(digest))
	if err != nil {
		return err
	}
	defer discard(f)
	if _, err := p.Uploads.PutStream(ctx, j.channel()+"train.csv", f, size, blob.Always()); err != nil {
		return fmt.Errorf("training: lay out the channel: %w", err)
	}
	_, err = p.Uploads.Put(ctx, j.channel()+"schema.json", described.Bytes(), blob.Always())
	return err
}

// spool copies an object to a temporary file, positioned at its start.
func (p *Planner) spool(ctx context.Context, key string) (*os.File, error) {
	body, info, err := p.Uploads.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	f, err := os.CreateTemp(p.Dir, "training-*")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the temporary storage cannot be used")
	}
	n, err := io.Copy(f, body)
	if err == nil && n != info.Size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		discard(f)
		return nil, fault.Wrap(err, fault.Unavailable, "%s could not be copied; try again", key)
	}
	return f, nil
}

func discard(f *os.File) { _ = errors.Join(f.Close(), os.Remove(f.Name())) }
