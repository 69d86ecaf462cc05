// Package lease lets one execution at a time work on a model: the step body of
// lease, for machines that must not run twice (docs/formats/registry.md, Leases).
//
// A trigger (a drift event, a schedule, a person) is claimed once: of several
// executions that it started, one goes on and the others end as duplicates. The
// lease of the model then keeps other triggers' executions out. What has failed or
// was stopped is taken over by the next; it is the machine that looks at the holder
// (DescribeExecution) and says what it saw, so nothing here knows Step Functions.
// Every holder has an epoch, one more than the one before: whoever was overtaken is
// told so by its own epoch and changes nothing any more.
//
//	k := lease.Keeper{Registry: reg, Now: time.Now, NewID: newID}
//	out, err := k.Run(ctx, lease.In{Action: "acquire", Model: "flights", Machine: "retrain", Holder: execution,
//		Trigger: "2026-10-05 drift", Source: "drift", Seconds: 7200})
package lease
