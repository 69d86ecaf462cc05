// Package routing decides who answers a key: a pure function of the rollout, its
// weight and the key, shared by every process that serves, so that all of them
// and every retry agree without talking to each other.
//
// It knows neither versions nor states: the caller maps "challenger" to a version
// of one state and loads what it needs before adopting that state.
//
// Invariants: one key has one answer at one weight; raising the weight only ever
// moves keys from champion to challenger, lowering it moves them back; two rollouts
// split keys independently; sampling for capture is independent of both, because
// its hash has a salt of its own, and so is sampling for pairs.
//
//	split := routing.Split{RolloutID: "01JB…", Weight: 500} // 5 %
//	split.Challenger("customer-17")
package routing

import (
	"crypto/sha256"
	"encoding/binary"
)

// Buckets is the resolution of a weight: hundredths of a percent.
const Buckets = 10000

// Split is what a state says about traffic: a rollout and its challenger's weight.
// The zero value sends everything to the champion.
type Split struct {
	RolloutID string
	Weight    int // 0..Buckets
}

// Challenger says whether key belongs to the challenger. key is the sticky key of
// the request, or its inference id.
func (s Split) Challenger(key string) bool {
	if s.Weight <= 0 {
		return false
	}
	return s.Weight >= Buckets || Bucket(s.RolloutID, key) < s.Weight
}

// Bucket is the place of key in a rollout, 0..Buckets-1:
// big-endian uint64(sha256(rolloutID + "\x00" + key)[:8]) mod Buckets.
func Bucket(rolloutID, key string) int {
	return int(hash(rolloutID, key) % Buckets)
}

// The salts keep the samples of captures and of pairs independent of who answered
// and of each other. They end in a zero byte, which no rollout id has, so the
// hashes never meet.
const (
	captureSalt = "capture\x00"
	pairSalt    = "pair\x00"
)

// Sampled says whether the requests of key are captured when a share p of them
// is: deterministic, so that both records of a pair are taken or none, and
// monotone in p. key is the sticky key, or the inference id.
func Sampled(model, key string, p float64) bool { return share(captureSalt, model, key, p) }

// Paired says whether the requests of key are scored by the other version too
// when a share p of them is. It is as [Sampled] and independent of it: of captured
// requests, too, a share p is paired.
func Paired(model, key string, p float64) bool { return share(pairSalt, model, key, p) }

func share(salt, model, key string, p float64) bool {
	if p >= 1 {
		return true
	}
	// 53 bits are what a float64 in [0,1) tells apart. NaN takes nothing.
	return float64(hash(salt+model, key)>>11)/(1<<53) < p
}

// hash is the first eight bytes of sha256(salt + "\x00" + key), big-endian.
func hash(salt, key string) uint64 {
	var room [256]byte
	text := append(room[:0], salt...)
	text = append(append(text, 0), key...)
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:8])
}
