package routing

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestBucketFollowsItsDefinition computes the bucket a second way, from the text of the protocol.
func TestBucketFollowsItsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		rollout, key := fmt.Sprint(r.Uint64()), fmt.Sprintf("%0*d", r.IntN(400)+1, r.Uint64())
		sum := sha256.Sum256([]byte(rollout + "\x00" + key))
		n := new(big.Int).SetBytes(sum[:8])
		if want := int(n.Mod(n, big.NewInt(10000)).Int64()); Bucket(rollout, key) != want {
			t.Fatalf("Bucket(%q, %q) = %d, want %d", rollout, key, Bucket(rollout, key), want)
		}
	}
}

// TestBucketIsFixed pins values computed by Python's hashlib: they may never change,
// or keys would move between versions in the middle of a rollout.
func TestBucketIsFixed(t *testing.T) {
	for _, tt := range []struct {
		rollout, key string
		want         int
	}{
		{"01JBROLLOUT", "customer-17", 4185},
		{"", "", 3192},
	} {
		if got := Bucket(tt.rollout, tt.key); got != tt.want {
			t.Errorf("Bucket(%q, %q) = %d, want %d", tt.rollout, tt.key, got, tt.want)
		}
	}
}

func TestChallengerIsMonotoneInWeight(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		key := fmt.Sprint(r.Uint64())
		was := false
		for w := 0; w <= Buckets; w += 1 + r.IntN(500) {
			now := Split{"rollout", w}.Challenger(key)
			if was && !now {
				t.Fatalf("key %s left the challenger when the weight rose to %d", key, w)
			}
			was = now
		}
		if !(Split{"rollout", Buckets}).Challenger(key) || (Split{"rollout", 0}).Challenger(key) || (Split{}).Challenger(key) {
			t.Fatalf("key %s: the ends of the weight are not all and nothing", key)
		}
	}
}

// TestShares checks that weights and sampling rates are met within five standard
// errors, and that rollouts and sampling split keys independently of each other.
func TestShares(t *testing.T) {
	const n = 200000
	var one, other, both, sampled, sampledAndOne, paired, pairedAndOne, pairedAndSampled float64
	for i := range n {
		key := fmt.Sprint("key-", i)
		a, b := Split{"a", 3000}.Challenger(key), Split{"b", 3000}.Challenger(key)
		s := Sampled("flights", key, 0.3)
		one, other, both = one+f(a), other+f(b), both+f(a && b)
		p := Paired("flights", key, 0.3)
		sampled, sampledAndOne = sampled+f(s), sampledAndOne+f(s && a)
		paired, pairedAndOne, pairedAndSampled = paired+f(p), pairedAndOne+f(p && a), pairedAndSampled+f(p && s)
	}
	for name, c := range map[string]struct{ got, want float64 }{
		"rollout a": {one, 0.3}, "rollout b": {other, 0.3}, "both": {both, 0.09}, "sampled": {sampled, 0.3}, "sampled and a": {sampledAndOne, 0.09},
		"paired": {paired, 0.3}, "paired and a": {pairedAndOne, 0.09}, "paired and sampled": {pairedAndSampled, 0.09},
	} {
		if se := math.Sqrt(c.want * (1 - c.want) / n); math.Abs(c.got/n-c.want) > 5*se {
			t.Errorf("%s: share %.4f, want %.4f ± %.4f", name, c.got/n, c.want, 5*se)
		}
	}
}

func f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func TestSampledIsMonotone(t *testing.T) {
	for i := range 2000 {
		key, was := fmt.Sprint(i), false
		for p := 0.0; p <= 1; p += 0.05 {
			now := Sampled("m", key, p)
			if was && !now {
				t.Fatalf("key %s left the sample when p rose to %v", key, p)
			}
			was = now
		}
		if Sampled("m", key, 0) || Sampled("m", key, math.NaN()) || Sampled("m", key, -1) || !Sampled("m", key, 1) {
			t.Fatalf("key %s: the ends are not nothing and all", key)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Split{"rollout", 5000}.Challenger("0199a000-0000-7000-8000-000000000001") }); n != 0 {
		t.Errorf("%v allocations for a decision", n)
	}
}

func BenchmarkChallenger(b *testing.B) {
	for b.Loop() {
		Split{"01JBROLLOUT", 500}.Challenger("0199a000-0000-7000-8000-000000000001")
	}
}
