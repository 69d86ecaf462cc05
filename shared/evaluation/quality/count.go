package quality

import "math"

// unknown is the label of rows that are not judged, in a histogram of scores.
const unknown = 2

// clip is how far from 0 and 1 a probability is kept in the log loss (docs/statistics.md).
const clip = 1e-6

func finite(x float64) bool { return math.Abs(x) <= math.MaxFloat64 }

func (s *State) binary(r *Row, judged bool) {
	bins, class, scored := s.layout.Bins[0], r.Class, finite(r.Score)
	probability := r.Score >= 0 && r.Score <= 1
	bin := bins.Len() // rows without a score
	if scored {
		bin = bins.Index(r.Score)
		if !probability {
			s.Counts.OutOfRange++
		}
	}
	if uint(class) > 1 {
		if !scored {
			s.Counts.Unusable++
			return
		}
		if !probability {
			s.Counts.NoClass++
		}
		class = 0
		if r.Score >= 0.5 && probability {
			class = 1
		}
	}
	if !scored {
		s.Counts.NoScore++
	}
	label := unknown
	if judged {
		label = r.Label
	}
	c := &s.hist[6*bin+2*label+class]
	c.n++
	if scored {
		c.sum.add(r.Score)
	}
	if !judged {
		return
	}
	key, block := s.groupsOf(r)
	at := 4*bin + 2*label + class
	key.count(at, 1)
	block.count(at, 1)
	if probability {
		p := r.Score
		if label == 0 {
			p = 1 - p
		}
		s.losses(key, block, -math.Log(min(max(p, clip), 1-clip)), (1-p)*(1-p))
	}
}

func (s *State) losses(key, block *group, loss ...float64) {
	key.scored++
	block.scored++
	for i, l := range loss {
		key.sums[i].add(l)
		block.sums[i].add(l)
		s.lossSquares[i].add(l * l)
	}
}

func (s *State) multiclass(r *Row, judged bool) {
	classes := len(s.layout.Classes)
	scored, probability := len(r.Scores) == classes, true
	best := 0
	for i, p := range r.Scores {
		if !finite(p) {
			scored = false
			break
		}
		probability = probability && p >= 0 && p <= 1
		if p > r.Scores[best] {
			best = i
		}
	}
	class := r.Class
	if uint(class) >= uint(classes) {
		if !scored {
			s.Counts.Unusable++
			return
		}
		class = best
	}
	switch {
	case !scored:
		s.Counts.NoScore++
	case !probability:
		s.Counts.OutOfRange++
	}
	if scored {
		for k, p := range r.Scores {
			label := unknown
			if judged {
				label = 0
				if k == r.Label {
					label = 1
				}
			}
			c := &s.hist[s.layout.offsets[k]+3*s.layout.Bins[k].Index(p)+label]
			c.n++
			c.sum.add(p)
		}
	}
	if !judged {
		return
	}
	key, block := s.groupsOf(r)
	key.count(r.Label*classes+class, 1)
	block.count(r.Label*classes+class, 1)
	if scored && probability {
		s.losses(key, block, -math.Log(min(max(r.Scores[r.Label], clip), 1-clip)))
	}
}

func (s *State) regression(r *Row, judged bool) {
	if !usable(r.Value) {
		s.Counts.Unusable++
		return
	}
	if !judged {
		return
	}
	key, block := s.groupsOf(r)
	e := r.Value - r.Truth
	ratio := math.Abs(e / r.Truth)
	if !usable(ratio) {
		s.Counts.ZeroLabels++
		ratio = 0
	}
	for _, g := range [...]*group{key, block} {
		n := g.numbers
		n[sumError].Add(e)
		n[sumAbsolute].Add(math.Abs(e))
		n[sumSquare].AddSquare(e)
		n[sumLabel].Add(r.Truth)
		n[sumLabelSquare].AddSquare(r.Truth)
		n[sumRatio].Add(ratio)
	}
}
