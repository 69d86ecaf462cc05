package command

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// went is an execution that has left these states with these data, and has ended.
func (s *starts) went(status types.ExecutionStatus, output string, states ...string) {
	s.history = nil
	for i := 0; i < len(states); i += 2 {
		s.history = append(s.history, types.HistoryEvent{Id: int64(len(s.history) + 1), Type: types.HistoryEventTypeTaskStateEntered},
			types.HistoryEvent{Id: int64(len(s.history) + 2), Timestamp: aws.Time(time.Date(2026, 10, 5, 9, 0, i, 0, time.UTC)), Type: types.HistoryEventTypeTaskStateExited,
				StateExitedEventDetails: &types.StateExitedEventDetails{Name: aws.String(states[i]), Output: aws.String(states[i+1])}})
	}
	s.end = sfn.DescribeExecutionOutput{Status: status, Output: aws.String(output)}
}

const claimed = `{"claim":{"out":{"status":"acquired","run":"1f2e3d4c5b6a7980","epoch":3,"attempt":2,"taken_over":"arn:old"}}}`

func TestRetrainStartsTheMachine(t *testing.T) {
	c, s := withMachine(t)
	c.says(t, ExitError, "needs a --reason", "retrain", "late")
	c.says(t, ExitError, "absent", "retrain", "absent", "--reason", "x", "--actor", "ada")
	c.says(t, ExitError, "at most 500", "retrain", "late", "--reason", "x", "--trigger", strings.Repeat("x", 501))
	c.says(t, ExitError, "--reason at most 1024", "retrain", "late", "--reason", strings.Repeat("x", 1025))
	c.says(t, ExitOK, "execution:tidegate-retrain:01JD", "retrain", "late", "--reason", "new airports", "--actor", "ada")
	c.says(t, ExitOK, `"drift 2026-11-26"`, "retrain", "late", "--reason", "go on", "--actor", "ada", "--trigger", "drift 2026-11-26", "--force")
	var first, second map[string]any
	check(t, json.Unmarshal([]byte(s.inputs[0]), &first))
	check(t, json.Unmarshal([]byte(s.inputs[1]), &second))
	if !strings.HasPrefix(fmt.Sprint(first["trigger"]), "person 01JD") || first["source"] != "person" || first["force"] != false || first["actor"] != "ada" || first["reason"] != "new airports" || first["model"] != "late" {
		t.Errorf("the input is %s", s.inputs[0])
	}
	if second["trigger"] != "drift 2026-11-26" || second["force"] != true {
		t.Errorf("the input is %s", s.inputs[1])
	}
}

func TestRetrainIsFollowed(t *testing.T) {
	c, s := withMachine(t)
	follow := []string{"retrain", "late", "--reason", "x", "--actor", "ada", "--follow"}
	s.went(types.ExecutionStatusSucceeded, `{"outcome":"promoted","reason":"Rollout r made version 4 the champion.","version":4,"run":"r"}`,
		"ReadInput", `{}`,
		"ClaimTrigger", claimed,
		"TakeSnapshot", `{"snapshot":{"out":{"action":"train","why":["training file months/07.csv: is new"],"trainer":"lambda","dataset":{"name":"late","number":3,"digest":"sha256:0a1b2c3d4e5f6071","rows":1200}}}}`,
		"AdoptTrained", `{"trained":{"out":{"ready":false}}}`,
		"TakeTrained", `{"trained":{"out":{"ready":true,"metrics":{"roc_auc":0.93125,"n":300},"rows":{"train":900,"holdout":300}}}}`,
		"RegisterVersion", `{"registered":{"out":{"version":4,"digest":"sha256:ab12ab12ab12ab12"}}}`,
		"PinHoldout", `{"holdout":{"out":{"comparable":true,"champion":1,"version":4,"rows":300,"first":"a","last":"b"}}}`,
		"ScoreRows", `{"scored":[{"digest":"sha256:11111111111111"},{"digest":"sha256:22222222222222"}]}`,
		"JudgeStart", `{"judged":{"summary":"Start: it is not worse.","evidence":"sha256:33333333333333","pairs":300}}`,
		"StartRollout", `{"rollout":{"outcome":"promote","detail":"ended","execution":"arn:rollout"}}`,
		"Done", `{}`)
	code, out, errs := c.run(follow...)
	if code != ExitOK || errs != "" {
		t.Fatalf("exit code %d, %s", code, errs)
	}
	at := 0
	for _, want := range []string{
		"2026-10-05 09:00:02Z  claimed: run 1f2e3d4c5b6a, epoch 3, attempt 2, taken over from arn:old\n",
		"snapshot: dataset late/3, 1200 rows, 0a1b2c3d4e5f; trains (lambda); training file months/07.csv: is new\n",
		"trained: 900 rows, 300 held out, n 300, roc_auc 0.9313\n",
		"registered: version 4 (ab12ab12ab12)\n",
		"holdout: 300 rows from a to b, version 4 against champion 1\n",
		"scored: 2 sets of predictions, 111111111111, 222222222222\n",
		"judged: Start: it is not worse. (300 rows, evidence 333333333333)\n",
		"rollout: promote (ended) arn:rollout\n",
		"promoted: Rollout r made version 4 the champion.\n",
	} {
		i := strings.Index(out[at:], want)
		if i < 0 {
			t.Fatalf("%q does not follow in\n%s", want, out)
		}
		at += i
	}

	c.says(t, ExitOK, `"outcome": "promoted"`, append(follow, "--json")...)
	var doc retraining
	check(t, json.Unmarshal(c.out.Bytes(), &doc))
	if len(doc.Steps) != 8 || doc.Steps[1].Step != "TakeSnapshot" || doc.Result.Version != 4 {
		t.Errorf("%+v", doc)
	}
}

func TestRetrainTellsOtherEnds(t *testing.T) {
	c, s := withMachine(t)
	follow := []string{"retrain", "late", "--reason", "x", "--actor", "ada", "--follow"}
	s.went(types.ExecutionStatusSucceeded, `{"outcome":"unchanged","reason":"Version 4 …"}`, "ClaimTrigger", claimed,
		"TakeSnapshot", `{"snapshot":{"out":{"action":"reuse","version":4,"standing":"champion","why":["nothing differs"]}}}`)
	c.says(t, ExitOK, "nothing to train, it would be version 4, which is champion; nothing differs\n", follow...)
	s.went(types.ExecutionStatusSucceeded, `{"outcome":"duplicate","reason":"arn:other has had this trigger."}`, "ClaimTrigger", `{"claim":{"out":{"status":"duplicate","holder":"arn:other"}}}`)
	c.says(t, ExitOK, "claimed: duplicate, by arn:other\nduplicate: arn:other has had this trigger.\n", follow...)
	s.went(types.ExecutionStatusSucceeded, `{"outcome":"registered","reason":"r"}`, "RegisterVersion", `{"registered":{"out":{"version":2,"digest":"sha256:ab","existing":true}}}`,
		"PinHoldout", `{"holdout":{"out":{"comparable":false,"reason":"no time column"}}}`)
	c.says(t, ExitOK, "these bytes are version 2 already (ab)\n", follow...)
	c.says(t, ExitOK, "holdout: no comparison: no time column\n", follow...)
	s.went(types.ExecutionStatusSucceeded, `{"outcome":"refused","reason":"source is bad"}`)
	c.says(t, ExitError, "the retraining is refused: source is bad", follow...)
	// A state that was left by its failure has found nothing.
	s.went(types.ExecutionStatusFailed, ``, "ClaimTrigger", `{}`, "TakeSnapshot", `{"error":{}}`, "RegisterVersion", `{}`, "JudgeStart", `{}`, "StartRollout", `{}`, "AdoptTrained", `{}`)
	s.end.Error, s.end.Cause = aws.String("Internal"), aws.String("a bug")
	c.says(t, ExitError, `FAILED with Internal: a bug; its finished steps are kept, --trigger "person 01JD`, follow...)
	if lines := strings.Count(c.out.String(), "\n"); lines != 1 {
		t.Errorf("%d lines:\n%s", lines, c.out.String())
	}
}
