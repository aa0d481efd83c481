package day

import (
	"fmt"
	"time"
)

// facts are what the day itself saw while it lasted.
type facts struct {
	// outageShown: the status page said so. outageHeld are the messages that were seen to wait for the provider.
	outageShown bool
	outageHeld  map[string]bool
	// limitUsed is what the repair shop had used when its plan was used up.
	limitUsed int64
	// blocked and lifted are when the garden shop's block began and ended.
	blocked, lifted time.Time
	// closed is what each account used in periods that were closed.
	closed []int64
}

func newFacts() facts {
	return facts{outageHeld: map[string]bool{}, closed: make([]int64, len(cast()))}
}

func (f facts) outage(all []evidence) verdict {
	var t tally
	if !f.outageShown {
		t.wrong("the status page", "never showed it")
	}
	if len(f.outageHeld) == 0 {
		t.wrong("the API", "showed no message as held")
	}
	for _, e := range all {
		lost := 0
		for id, m := range e.listed {
			if f.outageHeld[id] && !taken(m.status) {
				lost++
			}
		}
		if lost > 0 {
			t.wrong(e.name, fmt.Sprintf("%d of those that waited were not sent", lost))
		}
	}
	return t.verdict("the outage was shown, and all that waited for its end went out", fmt.Sprintf("%d seen waiting", len(f.outageHeld)))
}

func (f facts) limit(e evidence) verdict {
	var t tally
	if f.limitUsed != repairsLimit {
		t.wrong(e.name, "not the number of its plan")
	}
	if e.usage.Used == 0 && !e.turned {
		t.wrong(e.name, "sent nothing afterwards")
	}
	return t.verdict("the limit was exact, and the new period begins at nothing", fmt.Sprintf("%d of %d before, %d after", f.limitUsed, repairsLimit, e.usage.Used))
}

// underWay is for how long a call may still come after a block began: so long a switch may take to reach every call.
const underWay = 5 * time.Second

func (f facts) block(e evidence) verdict {
	var t tally
	if f.blocked.IsZero() || f.lifted.IsZero() {
		t.wrong(e.name, "it was not played")
	}
	calls := 0
	for _, s := range e.sends {
		if s.At.After(f.blocked.Add(underWay)) && s.At.Before(f.lifted) {
			calls++
		}
	}
	if calls > 0 {
		t.wrong(e.name, fmt.Sprintf("%d calls of the provider meanwhile", calls))
	}
	waited := 0
	for id, why := range e.notes.held {
		if why != "account_restricted" {
			continue
		}
		waited++
		if !taken(e.listed[id].status) {
			t.wrong(e.name, "one that waited for the end of the block was not sent")
		}
	}
	if waited == 0 {
		t.wrong(e.name, "nothing waited")
	}
	return t.verdict("nothing left while the account was blocked, and what waited went out afterwards", fmt.Sprintf("%d waited, %d refused", waited, e.notes.refused["account_restricted"]))
}
