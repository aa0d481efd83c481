package day

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// someDays are enough days to see what chance does to them.
func someDays() []plan {
	var out []plan
	for seed := range uint64(300) {
		out = append(out, newPlan(seed))
	}
	return out
}

func TestTheSameSeedMakesTheSameDay(t *testing.T) {
	t.Parallel()
	if !reflect.DeepEqual(newPlan(7), newPlan(7)) {
		t.Error("two days of one seed differ")
	}
	if reflect.DeepEqual(newPlan(7).steps, newPlan(8).steps) {
		t.Error("two seeds make the same day")
	}
}

func TestEachHourHasSomethingOfEachAccount(t *testing.T) {
	t.Parallel()
	for _, p := range someDays() {
		hours := map[[2]int]int{}
		for i, s := range p.steps {
			if s.at < opens || s.at >= closes || i > 0 && s.at < p.steps[i-1].at {
				t.Fatalf("seed %d: a step at %s, after %s", p.seed, clockTime(s.at), clockTime(p.steps[max(0, i-1)].at))
			}
			hours[[2]int{s.account, int(s.at.Hours())}]++
		}
		for account, m := range cast() {
			last := 17
			if m.talks == 0 {
				last = 16 // it closes when its people have gone home
			}
			for hour := 8; hour < last; hour++ {
				if hours[[2]int{account, hour}] == 0 {
					t.Errorf("seed %d: nothing of %s at %d", p.seed, m.name, hour)
				}
			}
		}
	}
}

// The repair shop asks for as many messages as its plan allows before the limit is to be reached, and not one of these is refused
// for another reason.
func TestTheLimitIsReachedWhenItIsMeantToBe(t *testing.T) {
	t.Parallel()
	for _, p := range someDays() {
		before, after := 0, 0
		for _, s := range p.steps {
			switch {
			case s.account != repairs || s.person < 0:
			case s.at < limitFull:
				before += s.sends()
			case s.at >= limitReset:
				after += s.sends()
			}
		}
		if before != repairsLimit || after == 0 || after >= 200 {
			t.Errorf("seed %d: %d messages before the limit of %d, %d with the new plan", p.seed, before, repairsLimit, after)
		}
		if got := p.refusals(repairs); len(got) != 1 || got["usage_limit_reached"] != 5 {
			t.Errorf("seed %d: foreseen are %v", p.seed, got)
		}
	}
}

func TestFiguresOfAPlanAddUp(t *testing.T) {
	t.Parallel()
	for _, p := range someDays() {
		asked, heard, batches := 0, 0, 0
		for _, s := range p.steps {
			asked += s.sends()
			if s.kind == hear {
				heard++
			}
			if s.kind == spread && s.account == garden {
				batches++
			}
		}
		for account := range cast() {
			asked -= p.asked(account)
			heard -= p.heard(account)
			if n := sum(p.refusals(account)); n >= p.asked(account)/2 && account != repairs {
				t.Errorf("seed %d: account %d is to be refused %d of %d", p.seed, account, n, p.asked(account))
			}
		}
		foreseen := p.refusals(garden)
		if asked != 0 || heard != 0 || batches != 3 || foreseen["account_restricted"] < 3 || foreseen["recipient_opted_out"] != 2 {
			t.Errorf("seed %d: %d messages and %d replies are nobody's, %d batches, foreseen %v", p.seed, asked, heard, batches, foreseen)
		}
	}
}

func TestEachMessageHasATextOfItsOwn(t *testing.T) {
	t.Parallel()
	p := newPlan(3)
	known := map[int]bool{}
	for _, s := range p.steps {
		if s.sends() == 0 {
			continue
		}
		if !strings.Contains(s.text, "{no}") {
			t.Errorf("%q has no number", s.text)
		}
		for i := range s.sends() {
			if known[s.no+i] {
				t.Errorf("number %d is there twice", s.no+i)
			}
			known[s.no+i] = true
		}
	}
}

// What an agent and one of its people do, they do in turn; an agent answers when somebody has written, and no sooner.
func TestPeopleAreTalkedToByOneAgentInTurn(t *testing.T) {
	t.Parallel()
	type who struct{ account, person int }
	for _, p := range someDays() {
		agents, unanswered := map[who]int{}, map[who]int{}
		for _, s := range p.steps {
			w := who{s.account, s.person}
			if s.kind == spread || s.person < 0 {
				continue
			}
			if agent, known := agents[w]; known && agent != s.agent {
				t.Fatalf("seed %d: %v has two agents", p.seed, w)
			}
			agents[w] = s.agent
			switch s.kind {
			case hear:
				unanswered[w]++
			case answer:
				if unanswered[w]--; unanswered[w] < 0 {
					t.Fatalf("seed %d: %v is answered at %s before writing", p.seed, w, clockTime(s.at))
				}
			}
			if s.person < 1 || s.person >= peopleOfAccount {
				t.Fatalf("seed %d: there is no person %d", p.seed, s.person)
			}
		}
	}
}

func TestMessagesForLaterComeDueWhenTheyAreMeantTo(t *testing.T) {
	t.Parallel()
	for _, p := range someDays() {
		blocked, recalled := 0, 0
		for _, s := range p.steps {
			if s.kind == recall {
				recalled++
			}
			if s.kind != later {
				continue
			}
			if s.due < s.at+30*time.Minute {
				t.Errorf("seed %d: at %s for %s", p.seed, clockTime(s.at), clockTime(s.due))
			}
			if s.account == garden && s.at < blockBegins && s.due > blockBegins && s.due < blockEnds {
				blocked++
			}
		}
		if blocked != offers || recalled != 1 {
			t.Errorf("seed %d: %d come due while blocked, %d are recalled", p.seed, blocked, recalled)
		}
	}
}

func TestRecipientsOfAccountsAndRunsDiffer(t *testing.T) {
	t.Parallel()
	one, other := run{people: 0}, run{people: len(cast()) * peopleOfAccount}
	known := map[string]bool{}
	for _, r := range []run{one, other} {
		for i := range cast() {
			for _, person := range []int{1, peopleOfAccount - 1} {
				a := actor{index: i, run: r}
				if known[a.address(person)] || len(a.address(person)) != len("+35799500000") {
					t.Errorf("%s", a.address(person))
				}
				known[a.address(person)] = true
			}
		}
	}
}
