package day

import (
	"strings"
	"testing"
	"time"

	"contactcenter/scripts/demo/internal/stack"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// event is one about a resource, with an id of its own.
func event(typ, id string) told {
	e := told{ID: typ + " " + id, Type: typ}
	e.Data.ID = id
	return e
}

// agreeing is an account on which all agree: two messages to one person, of which one waited, one that failed, one that was rejected,
// one that was canceled, one refusal, and a reply.
func agreeing(name string) evidence {
	e := evidence{
		name: name, provider: "edna", asked: 6, heard: 1, foreseen: map[string]int{"recipient_opted_out": 2},
		notes: notes{
			accepted: []string{"read", "delivered", "failed", "rejected", "canceled"}, refused: map[string]int{"recipient_opted_out": 1}, replies: 1, canceled: 1,
			tasks: map[int]task{1: {0, "anna"}, 2: {1, ""}},
			turns: [][]string{{"read", "delivered"}}, held: map[string]string{"delivered": "account_restricted"},
		},
		listed: map[string]shown{
			"read": {status: "read", queued: 40 * time.Second}, "delivered": {status: "delivered", queued: 50 * time.Second}, "failed": {status: "failed", code: "recipient_invalid"},
			"rejected": {status: "rejected", code: "recipient_opted_out"}, "canceled": {status: "canceled"},
		},
		inbound: map[string]bool{"reply": true},
		tasks:   map[int]task{1: {0, "anna"}, 2: {1, ""}},
		usage:   stack.Usage{Used: 1}, closed: 1,
		sends: []stack.Send{
			{Seq: 1, At: noon, MessageID: "read", Accepted: true, Reported: []string{"sent", "read", "delivered"}},
			{Seq: 2, At: noon, MessageID: "failed"},
			{Seq: 3, At: noon.Add(2 * time.Hour), MessageID: "delivered", Accepted: true, Reported: []string{"queued", "sent", "delivered"}},
		},
		logged: map[string]string{},
	}
	for id := range e.listed {
		e.events = append(e.events, event("message.queued", id), event("message."+e.listed[id].status, id))
	}
	e.events = append(e.events, event("message.held", "delivered"), event("message.received", "reply"), event("usage.reset", ""))
	for _, ev := range e.events {
		e.logged[ev.ID] = "delivered"
	}
	return e
}

// agreeingDay is a day on which all agree.
func agreeingDay() ([]evidence, facts) {
	var all []evidence
	for _, m := range cast() {
		all = append(all, agreeing(m.name))
	}
	f := newFacts()
	f.outageShown, f.outageHeld["delivered"], f.limitUsed = true, true, repairsLimit
	f.blocked, f.lifted = noon.Add(30*time.Minute), noon.Add(time.Hour)
	return all, f
}

func TestADayOnWhichAllAgreeBreaksNoPromise(t *testing.T) {
	t.Parallel()
	for _, v := range verdicts(agreeingDay()) {
		if !v.kept {
			t.Errorf("%s (%s)", v.promise, v.found)
		}
	}
}

// Each check fails for what it is there for, and says of whom.
func TestEachDisagreementBreaksItsPromise(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(e *evidence, f *facts)
		// account is whose evidence is spoilt, promise the beginning of what is broken by it, among others perhaps.
		account int
		promise string
	}{
		"a request without an answer":                   {func(e *evidence, _ *facts) { e.notes.broken = []string{"09:00 nothing came"} }, school, "every request"},
		"a message that nobody was answered":            {func(e *evidence, _ *facts) { e.asked++ }, school, "every request"},
		"a reply that was not written":                  {func(e *evidence, _ *facts) { e.heard++ }, school, "every request"},
		"an accepted message that is not listed":        {func(e *evidence, _ *facts) { delete(e.listed, "canceled") }, pharmacy, "the API lists"},
		"a listed message that nobody sent":             {func(e *evidence, _ *facts) { e.listed["other"] = shown{status: "sent"} }, pharmacy, "the API lists"},
		"one listed in place of another":                {func(e *evidence, _ *facts) { e.listed["other"] = e.listed["read"]; delete(e.listed, "read") }, pharmacy, "the API lists"},
		"a message that still waits":                    {func(e *evidence, _ *facts) { e.listed["read"] = shown{status: "held"} }, parcels, "nothing waits"},
		"a message of which nothing is known":           {func(e *evidence, _ *facts) { e.listed["read"] = shown{status: "unknown"} }, parcels, "nothing waits"},
		"a message that was taken twice":                {func(e *evidence, _ *facts) { e.sends = append(e.sends, e.sends[0]) }, parcels, "each was handed over once"},
		"a message sent that the provider never took":   {func(e *evidence, _ *facts) { e.sends[0].Accepted = false }, parcels, "each was handed over once"},
		"a message handed over in spite of a rejection": {func(e *evidence, _ *facts) { e.sends[1].MessageID = "rejected" }, parcels, "each was handed over once"},
		"a canceled message that was handed over":       {func(e *evidence, _ *facts) { e.sends[1].MessageID = "canceled" }, parcels, "each was handed over once"},
		"a call for a message that nobody knows":        {func(e *evidence, _ *facts) { e.sends[1].MessageID = "other" }, parcels, "each was handed over once"},
		"a status that was not reported":                {func(e *evidence, _ *facts) { e.listed["read"] = shown{status: "delivered"} }, garden, "statuses"},
		"a report that came to nothing":                 {func(e *evidence, _ *facts) { e.sends[2].Reported = []string{"sent", "undelivered"} }, garden, "statuses"},
		"a unit too many":                               {func(e *evidence, _ *facts) { e.usage.Used++ }, repairs, "usage"},
		"a unit too few in a closed period":             {func(e *evidence, _ *facts) { e.closed-- }, repairs, "usage"},
		"a message that stays in flight":                {func(e *evidence, _ *facts) { e.usage.InFlight = 1 }, repairs, "usage"},
		"an event that was not told": {func(e *evidence, _ *facts) {
			e.events = without(e.events, event("message.read", "read"))
		}, school, "the last that the CRM was told"},
		"an event of a status that never was":    {func(e *evidence, _ *facts) { e.events = append(e.events, event("message.failed", "read")) }, school, "the last that the CRM was told"},
		"an event about what nobody sent":        {func(e *evidence, _ *facts) { e.events = append(e.events, event("message.sent", "other")) }, school, "the last that the CRM was told"},
		"a reply that is not listed":             {func(e *evidence, _ *facts) { e.inbound = nil }, school, "what people wrote"},
		"a reply listed in place of another":     {func(e *evidence, _ *facts) { e.inbound = map[string]bool{"other": true} }, school, "what people wrote"},
		"a reply that the CRM was not told":      {func(e *evidence, _ *facts) { e.events = without(e.events, event("message.received", "reply")) }, school, "what people wrote"},
		"a conversation of somebody else's":      {func(e *evidence, _ *facts) { e.tasks[1] = task{0, "boris"} }, pharmacy, "the inbox"},
		"a reply that is not marked read":        {func(e *evidence, _ *facts) { e.tasks[1] = task{1, "anna"} }, pharmacy, "the inbox"},
		"a conversation that is not listed":      {func(e *evidence, _ *facts) { delete(e.tasks, 2) }, pharmacy, "the inbox"},
		"a conversation that nobody knows":       {func(e *evidence, _ *facts) { e.tasks[3] = task{} }, pharmacy, "the inbox"},
		"a conversation in place of another":     {func(e *evidence, _ *facts) { delete(e.tasks, 2); e.tasks[3] = task{1, ""} }, pharmacy, "the inbox"},
		"a message that is shown as canceled":    {func(e *evidence, _ *facts) { e.notes.canceled-- }, pharmacy, "each was handed over once"},
		"a delivery that did not come":           {func(e *evidence, _ *facts) { e.logged["lost"] = "delivered" }, pharmacy, "every event"},
		"a delivery that still waits":            {func(e *evidence, _ *facts) { e.logged["late"] = "pending" }, pharmacy, "every event"},
		"an event that is not logged":            {func(e *evidence, _ *facts) { delete(e.logged, e.events[0].ID) }, pharmacy, "every event"},
		"an event that did not come again":       {func(e *evidence, _ *facts) { e.stumbled = e.again + 1 }, pharmacy, "every event"},
		"an event that is not signed":            {func(e *evidence, _ *facts) { e.wrong++ }, pharmacy, "every event"},
		"two messages in the wrong order":        {func(e *evidence, _ *facts) { e.sends[0].Seq = 9 }, garden, "each person's messages"},
		"a refusal that nobody foresaw":          {func(e *evidence, _ *facts) { e.notes.refused["account_restricted"] = 1; e.asked++ }, garden, "rejected is"},
		"a refusal that did not come":            {func(e *evidence, _ *facts) { e.foreseen["usage_limit_reached"] = 1 }, garden, "rejected is"},
		"an outage that nobody was shown":        {func(_ *evidence, f *facts) { f.outageShown = false }, pharmacy, "the outage"},
		"an outage in which nothing waited":      {func(_ *evidence, f *facts) { clear(f.outageHeld) }, pharmacy, "the outage"},
		"a message that an outage lost":          {func(_ *evidence, f *facts) { f.outageHeld["failed"] = true }, pharmacy, "the outage"},
		"a limit that one more got over":         {func(_ *evidence, f *facts) { f.limitUsed++ }, repairs, "the limit"},
		"a new period that lets nothing go":      {func(e *evidence, _ *facts) { e.usage.Used, e.closed = 0, 2 }, repairs, "the limit"},
		"a call while the account was blocked":   {func(e *evidence, f *facts) { e.sends[1].At = f.blocked.Add(10 * time.Second) }, garden, "nothing left"},
		"a block in which nothing waited":        {func(e *evidence, _ *facts) { clear(e.notes.held) }, garden, "nothing left"},
		"a message that did not outlive a block": {func(e *evidence, _ *facts) { e.notes.held["failed"] = "account_restricted" }, garden, "nothing left"},
		"a block that was never lifted":          {func(_ *evidence, f *facts) { f.lifted = time.Time{} }, garden, "nothing left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, f := agreeingDay()
			tc.spoil(&all[tc.account], &f)
			broken := 0
			for _, v := range verdicts(all, f) {
				if !v.kept && strings.HasPrefix(v.promise, tc.promise) {
					broken++
				}
			}
			if broken != 1 || agreed(verdicts(all, f)) {
				t.Errorf("%d promises of that name are broken: %+v", broken, verdicts(all, f))
			}
		})
	}
}

func without(events []told, one told) []told {
	var out []told
	for _, e := range events {
		if e.ID != one.ID {
			out = append(out, e)
		}
	}
	return out
}

func TestABrokenPromiseNamesWhoseItIs(t *testing.T) {
	t.Parallel()
	all, f := agreeingDay()
	all[garden].usage.Used += 5
	for _, v := range verdicts(all, f) {
		if !v.kept && !strings.Contains(v.found, "15 used; Fern Garden Shop: used 7, taken 2, in flight 0") {
			t.Errorf("%s (%s)", v.promise, v.found)
		}
	}
}

func TestAPeriodThatEndsAtMidnightIsNobodysFault(t *testing.T) {
	t.Parallel()
	for period, want := range map[string]bool{"2026-11": false, "2026-11-24": false, "2026-11-25": true, "2026-12": true} {
		if turned(period, noon) != want {
			t.Errorf("%s has turned: %t", period, !want)
		}
	}
	all, f := agreeingDay()
	all[repairs].turned, all[repairs].usage.Used = true, 0
	if !agreed(verdicts(all, f)) {
		t.Errorf("%+v", verdicts(all, f))
	}
}
