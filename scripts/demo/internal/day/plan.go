package day

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Times of the day, since midnight.
const (
	opens  = 8 * time.Hour
	closes = 18 * time.Hour

	campaignBegins = 10 * time.Hour
	campaignOut    = 11 * time.Hour

	outageBegins = 12 * time.Hour
	outageEnds   = 12*time.Hour + 45*time.Minute
	limitFull    = 13*time.Hour + 15*time.Minute
	limitReset   = 14*time.Hour + 30*time.Minute
	blockBegins  = 15 * time.Hour
	blockEnds    = 16 * time.Hour
)

// kind is what a step is.
type kind int

const (
	// write: an agent writes to a person. later: with a time at which it is to go. recall: takes such a one back.
	write kind = iota
	later
	recall
	// spread: one batch to many people.
	spread
	// hear: a person writes. answer: an agent takes the conversation, reads it and answers.
	hear
	answer
)

// step is what one agent, or one of the people that it talks to, does at a time of the day.
type step struct {
	at      time.Duration
	account int
	agent   int
	kind    kind
	// person is the recipient's number among those of the account; below zero one whom the provider refuses.
	person int
	// people are the recipients of a batch.
	people []int
	text   string
	// no makes the text one of its own; those of a batch count on from it.
	no int
	// due is when a later message is to go, or the one that is recalled; recalled says of a later message that it will be.
	due      time.Duration
	recalled bool
	// hold: at the limit the message waits for another period.
	hold bool
}

// sends is how many messages the step asks for.
func (s step) sends() int {
	switch s.kind {
	case write, later, answer:
		return 1
	case spread:
		return len(s.people)
	default:
		return 0
	}
}

// plan is a day: what happens when. The same seed makes the same day.
type plan struct {
	seed  uint64
	steps []step
}

// newPlan thinks out a day.
func newPlan(seed uint64) plan {
	p := &planner{rng: rand.New(rand.NewPCG(seed, 0xda7)), cast: cast(), people: make([]int, len(cast()))}
	for i := range p.cast {
		p.talk(i)
	}
	p.mail()
	p.outage()
	p.limit()
	p.block()
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return plan{seed: seed, steps: p.steps}
}

type planner struct {
	rng   *rand.Rand
	cast  []member
	steps []step
	// people counts those of each account, no the messages.
	people []int
	no     int
}

// add adds a step with a text of its own, and gives it back.
func (p *planner) add(s step) step {
	s.no = p.no + 1
	p.no += max(1, s.sends())
	p.steps = append(p.steps, s)
	return s
}

// someone is a person that the account did not talk to before.
func (p *planner) someone(account int) int {
	p.people[account]++
	return p.people[account]
}

func (p *planner) agent(account int) int { return p.rng.IntN(len(p.cast[account].agents)) }

func (p *planner) one(of []string) string { return of[p.rng.IntN(len(of))] }

// minutes is a time between so many minutes.
func (p *planner) minutes(least, most int) time.Duration {
	return time.Duration(least)*time.Minute + time.Duration(p.rng.Int64N(int64(most-least)*int64(time.Minute)))
}

// talk spreads an account's conversations over the day: as many in each hour, all over by the end of it.
func (p *planner) talk(account int) {
	for hour := opens; hour <= closes-2*time.Hour; hour += time.Hour {
		for range p.cast[account].talks {
			p.conversation(account, hour+p.minutes(2, 58))
		}
	}
}

// conversation is one between an agent and somebody new, of an hour at most. It gives how many messages the agent sends.
func (p *planner) conversation(account int, at time.Duration) int {
	m, s := p.cast[account], step{account: account, agent: p.agent(account), person: p.someone(account)}
	sends := 0
	// Where what is written may not arrive, people write first: nobody replies to what they did not get.
	if first := p.rng.IntN(10); first < 6 && !p.stopped(account, at) {
		s.at, s.kind, s.text = at, write, p.one(m.opens)
		p.add(s)
		sends++
		if first < 2 {
			return sends // nobody replies
		}
		at += p.minutes(5, 25)
	}
	for range 1 + p.rng.IntN(2) {
		s.at, s.kind, s.text = at, hear, p.one(m.asks)
		p.add(s)
		s.at, s.kind, s.text = at+p.minutes(3, 12), answer, p.one(m.answers)
		p.add(s)
		sends++
		at = s.at + p.minutes(2, 12)
	}
	return sends
}

// stopped tells whether what the account writes then may not arrive at once.
func (p *planner) stopped(account int, at time.Duration) bool {
	switch {
	case account == garden && at >= blockBegins && at < blockEnds:
		return true
	case p.cast[account].need.Provider == "edna":
		return at >= outageBegins && at < outageEnds+15*time.Minute
	}
	return false
}

// mail is what goes to many, and what goes later.
func (p *planner) mail() {
	p.spread(school, opens+30*time.Minute, 60, noticeText)
	p.spread(parcels, 9*time.Hour, 40, roundText)
	var reached []int
	for i := range 3 {
		reached = append(reached, p.spread(garden, campaignBegins+time.Duration(i)*10*time.Minute, 100, campaignText)...)
	}
	p.rng.Shuffle(len(reached), func(i, j int) { reached[i], reached[j] = reached[j], reached[i] })
	for _, person := range reached[:20] {
		s := step{account: garden, agent: p.agent(garden), person: person, at: campaignOut + p.minutes(2, 50), kind: hear, text: p.one(p.cast[garden].asks)}
		p.add(s)
		s.at, s.kind, s.text = s.at+p.minutes(3, 40), answer, p.one(p.cast[garden].answers)
		p.add(s)
	}
	for i, person := range reached[20:24] {
		s := step{account: garden, person: person, at: campaignOut + p.minutes(2, 50), kind: hear, text: "STOP"}
		p.add(s)
		if i < 2 { // somebody did not look
			s.at, s.kind, s.text = 17*time.Hour+p.minutes(5, 25), write, p.one(p.cast[garden].opens)
			p.add(s)
		}
	}
	s := step{account: parcels, person: p.someone(parcels), at: 11 * time.Hour, kind: write, text: p.one(p.cast[parcels].opens)}
	p.add(s)
	s.at, s.kind, s.text = s.at+p.minutes(5, 25), hear, "Stop"
	p.add(s)
	s.at, s.kind, s.text = 13*time.Hour+p.minutes(30, 50), write, p.one(p.cast[parcels].opens)
	p.add(s)
	for i := range noSuchNumbers() {
		p.add(step{account: parcels, agent: p.agent(parcels), person: -1 - i, at: 9*time.Hour + p.minutes(30, 400), kind: write, text: p.one(p.cast[parcels].opens)})
	}
	var waiting step
	for i := range 3 {
		waiting = p.add(step{account: pharmacy, person: p.someone(pharmacy), at: 9 * time.Hour, kind: later, due: 11*time.Hour + 15*time.Minute, recalled: i == 2, text: p.one(p.cast[pharmacy].opens)})
	}
	waiting.at, waiting.kind = 10*time.Hour, recall
	p.steps = append(p.steps, waiting)
	p.add(step{account: school, person: p.someone(school), at: 13 * time.Hour, kind: later, due: 16*time.Hour + 30*time.Minute, text: p.one(p.cast[school].opens)})
}

// spread is a batch to people who hear of the account for the first time.
func (p *planner) spread(account int, at time.Duration, n int, text string) []int {
	s := step{account: account, at: at, kind: spread, text: text}
	for range n {
		s.people = append(s.people, p.someone(account))
	}
	p.add(s)
	return s.people
}

// outage has agents write on while the provider does not answer: to each person twice, so that the order matters.
func (p *planner) outage() {
	for _, account := range []int{pharmacy, school, garden} {
		for range 5 {
			s := step{account: account, agent: p.agent(account), person: p.someone(account), at: outageBegins + p.minutes(1, 15), kind: write}
			for range 2 {
				s.text = p.one(p.cast[account].opens)
				p.add(s)
				s.at += p.minutes(3, 14)
			}
		}
	}
}

// limit has the repair shop send just what its plan allows, then go on trying until it has another plan.
func (p *planner) limit() {
	sent := 0
	for hour := time.Duration(0); sent < repairsLimit-3; hour = (hour + 1) % 4 {
		sent += p.conversation(repairs, opens+hour*time.Hour+p.minutes(5, 55))
	}
	tell := func(at time.Duration, hold bool) {
		p.add(step{account: repairs, agent: p.agent(repairs), person: p.someone(repairs), at: at, kind: write, text: p.one(p.cast[repairs].opens), hold: hold})
	}
	for ; sent < repairsLimit; sent++ {
		tell(limitFull-p.minutes(20, 50), false)
	}
	for i := range noSuchNumbers()[:2] {
		p.add(step{account: repairs, agent: p.agent(repairs), person: -1 - i, at: opens + p.minutes(60, 200), kind: write, text: p.one(p.cast[repairs].opens)})
	}
	for i := range time.Duration(5) {
		tell(limitFull+i*14*time.Minute+p.minutes(3, 13), false)
	}
	for range 2 {
		tell(limitFull+p.minutes(3, 70), true)
	}
	for i := range time.Duration(8) {
		p.conversation(repairs, limitReset+i*15*time.Minute+p.minutes(1, 14))
	}
}

// offers are the messages that come due while the account is blocked.
const offers = 10

// block has the garden shop's evening offers come due, and its agents go on writing, while it is blocked.
func (p *planner) block() {
	for range offers {
		p.add(step{account: garden, agent: p.agent(garden), person: p.someone(garden), at: blockBegins - p.minutes(20, 40), kind: later, due: blockBegins + 15*time.Minute, text: eveningText})
	}
	for range 3 {
		p.add(step{account: garden, agent: p.agent(garden), person: p.someone(garden), at: blockBegins + p.minutes(5, 50), kind: write, text: p.one(p.cast[garden].opens)})
	}
}

// asked counts the messages that the plan has an account ask for.
func (p plan) asked(account int) int {
	n := 0
	for _, s := range p.steps {
		if s.account == account {
			n += s.sends()
		}
	}
	return n
}

// heard counts what people write to an account.
func (p plan) heard(account int) int {
	n := 0
	for _, s := range p.steps {
		if s.account == account && s.kind == hear {
			n++
		}
	}
	return n
}

// refusals counts what an account is to be refused, by the API's code: what its agents write to those who opted out, while it is
// blocked, and while its plan is used up.
func (p plan) refusals(account int) map[string]int {
	out := map[string]int{}
	stopped := map[int]bool{}
	for _, s := range p.steps {
		if s.account != account {
			continue
		}
		switch {
		case s.kind == hear && isStop(s.text):
			stopped[s.person] = true
		case s.sends() == 0:
		case account == garden && s.at >= blockBegins && s.at < blockEnds:
			out["account_restricted"] += s.sends()
		case stopped[s.person] && s.kind != spread:
			out["recipient_opted_out"]++
		case account == repairs && s.at >= limitFull && s.at < limitReset && !s.hold:
			out["usage_limit_reached"] += s.sends()
		}
	}
	return out
}

func isStop(text string) bool { return text == "STOP" || text == "Stop" }

// clockTime writes a time of the day.
func clockTime(at time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(at.Hours()), int(at.Minutes())%60)
}
