package day

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"contactcenter/scripts/demo/internal/stack"
)

// verdict is whether a promise was kept, and by what that is known.
type verdict struct {
	kept           bool
	promise, found string
}

// verdicts compares what the API, the providers, the CRM and the agents say.
func verdicts(all []evidence, f facts) []verdict {
	checks := []func([]evidence) verdict{
		answered, listedAll, endedAll, handedOverOnce, asReported, counted, toldLast, repliesAgree, tasksAgree, eventsAgree, inOrder, refusedAsForeseen,
	}
	var out []verdict
	for _, check := range checks {
		out = append(out, check(all))
	}
	return append(out, f.outage(all), f.limit(all[repairs]), f.block(all[garden]))
}

// tally adds figures up over the accounts, and remembers who disagrees.
type tally struct {
	names []string
	total map[string]int
}

func (t *tally) add(what string, n int) {
	if t.total == nil {
		t.total = map[string]int{}
	}
	t.total[what] += n
}

// wrong notes an account that disagrees, with an example.
func (t *tally) wrong(name, why string) { t.names = append(t.names, name+": "+why) }

func (t *tally) verdict(promise, found string) verdict {
	if len(t.names) > 0 {
		found += "; " + strings.Join(t.names, "; ")
	}
	return verdict{len(t.names) == 0, promise, found}
}

func answered(all []evidence) verdict {
	var t tally
	for _, e := range all {
		accepted, refused := len(e.notes.accepted), sum(e.notes.refused)
		t.add("accepted", accepted)
		t.add("refused", refused)
		switch {
		case len(e.notes.broken) > 0:
			t.wrong(e.name, fmt.Sprintf("%d without, first %s", len(e.notes.broken), e.notes.broken[0]))
		case accepted+refused != e.asked || e.notes.replies != e.heard:
			t.wrong(e.name, fmt.Sprintf("%d of %d messages, %d of %d replies", accepted+refused, e.asked, e.notes.replies, e.heard))
		}
	}
	return t.verdict("every request got an answer that says what it is", fmt.Sprintf("%s accepted, %s refused", number(t.total["accepted"]), number(t.total["refused"])))
}

func listedAll(all []evidence) verdict {
	var t tally
	for _, e := range all {
		t.add("listed", len(e.listed))
		missing := 0
		for _, id := range e.notes.accepted {
			if _, ok := e.listed[id]; !ok {
				missing++
			}
		}
		if more := len(e.listed) - len(e.notes.accepted) + missing; missing > 0 || more > 0 {
			t.wrong(e.name, fmt.Sprintf("%d missing, %d that nobody sent", missing, more))
		}
	}
	return t.verdict("the API lists what it accepted, and nothing else", number(t.total["listed"])+" listed")
}

func isFinal(status string) bool {
	return slices.Contains([]string{"sent", "delivered", "read", "failed", "rejected", "expired", "canceled"}, status)
}

func taken(status string) bool { return slices.Contains([]string{"sent", "delivered", "read"}, status) }

func endedAll(all []evidence) verdict {
	var t tally
	for _, e := range all {
		open := map[string]int{}
		for _, m := range e.listed {
			if !isFinal(m.status) {
				open[m.status]++
			}
		}
		if len(open) > 0 {
			t.wrong(e.name, each(open))
		}
	}
	return t.verdict("nothing waits any more, and nothing is unknown", "all have come to an end")
}

// handedOverOnce: what the API says was sent, the provider took once; what it rejected or took back, the provider never saw.
func handedOverOnce(all []evidence) verdict {
	var t tally
	for _, e := range all {
		t.add("taken", len(stack.Acceptances(e.sends)))
		if why := e.astray(); why != "" {
			t.wrong(e.name, why)
		}
		if canceled := e.account().canceled; canceled != e.notes.canceled {
			t.wrong(e.name, fmt.Sprintf("%d canceled, %d shown as that", e.notes.canceled, canceled))
		}
	}
	return t.verdict("each was handed over once, and what was refused never", number(t.total["taken"])+" taken, none twice")
}

// astray says what was handed over otherwise than the API's statuses would have it; "" for nothing.
func (e evidence) astray() string {
	accepted, calls := stack.Acceptances(e.sends), map[string]int{}
	for _, s := range e.sends {
		calls[s.MessageID]++
	}
	missing, inSpite, strange := 0, 0, 0
	for id, m := range e.listed {
		if taken(m.status) && accepted[id] != 1 {
			missing++
		}
		if slices.Contains([]string{"rejected", "canceled", "expired"}, m.status) && calls[id] > 0 {
			inSpite++
		}
	}
	for id := range calls {
		if _, ok := e.listed[id]; !ok {
			strange++
		}
	}
	twice := stack.TakenTwice(accepted)
	if twice+missing+inSpite+strange == 0 {
		return ""
	}
	return fmt.Sprintf("%d twice, %d sent that the provider did not take once, %d handed over in spite of all, %d that the API does not list", twice, missing, inSpite, strange)
}

// furthest is the status that follows from what a provider reported of a message that it took.
func furthest(reported []string) string {
	order := []string{"sent", "delivered", "read"}
	at := 0
	for _, r := range reported {
		r = strings.ToLower(r)
		if r == "undelivered" || r == "failed" {
			return "failed"
		}
		at = max(at, slices.Index(order, r))
	}
	return order[at]
}

func asReported(all []evidence) verdict {
	var t tally
	for _, e := range all {
		other := 0
		for _, s := range e.sends {
			if !s.Accepted {
				continue
			}
			status := furthest(s.Reported)
			t.add(status, 1)
			if e.listed[s.MessageID].status != status {
				other++
			}
		}
		if other > 0 {
			t.wrong(e.name, fmt.Sprintf("%d shown otherwise", other))
		}
	}
	return t.verdict("statuses are what the providers reported", each(t.total))
}

func counted(all []evidence) verdict {
	var t tally
	for _, e := range all {
		if e.turned {
			t.add("accounts whose period ended meanwhile", 1)
			continue
		}
		used, took := e.usage.Used+e.closed, len(stack.Acceptances(e.sends))
		t.add("used", int(used))
		if int(used) != took || e.usage.InFlight != 0 {
			t.wrong(e.name, fmt.Sprintf("used %d, taken %d, in flight %d", used, took, e.usage.InFlight))
		}
	}
	return t.verdict("usage is what the providers took", each(t.total))
}

// toldLast: the furthest that the CRM was told of a message is its status.
func toldLast(all []evidence) verdict {
	order := []string{"queued", "held", "sent", "delivered", "read", "failed", "rejected", "expired", "canceled", "unknown"}
	var t tally
	for _, e := range all {
		last := map[string]string{}
		for _, ev := range e.events {
			status, isMessage := strings.CutPrefix(ev.Type, "message.")
			if !isMessage || status == "received" {
				continue
			}
			if slices.Index(order, status) >= slices.Index(order, last[ev.Data.ID]) {
				last[ev.Data.ID] = status
			}
		}
		other, strange := 0, 0
		for id, m := range e.listed {
			if last[id] != m.status {
				other++
			}
		}
		for id := range last {
			if _, ok := e.listed[id]; !ok {
				strange++
			}
		}
		t.add("messages", len(last))
		if other+strange > 0 {
			t.wrong(e.name, fmt.Sprintf("of %d another, %d that the API does not list", other, strange))
		}
	}
	return t.verdict("the last that the CRM was told of each message is its status", number(t.total["messages"])+" messages")
}

func repliesAgree(all []evidence) verdict {
	var t tally
	for _, e := range all {
		heard, strange := 0, 0
		for _, ev := range e.events {
			if ev.Type != "message.received" {
				continue
			}
			heard++
			if !e.inbound[ev.Data.ID] {
				strange++
			}
		}
		t.add("replies", e.notes.replies)
		if e.notes.replies != len(e.inbound) || heard != len(e.inbound) || strange > 0 {
			t.wrong(e.name, fmt.Sprintf("%d written, %d listed, %d told, %d of these not listed", e.notes.replies, len(e.inbound), heard, strange))
		}
	}
	return t.verdict("what people wrote stands in the API, and the CRM was told of it", number(t.total["replies"])+" replies")
}

// tasksAgree: the inbox shows what agents took and read, and what nobody has read yet.
func tasksAgree(all []evidence) verdict {
	var t tally
	for _, e := range all {
		other := len(e.tasks)
		for person, want := range e.notes.tasks {
			if want.agent != "" {
				t.add("taken and read", 1)
			}
			t.add("left unread", want.unread)
			if got, listed := e.tasks[person]; listed && got == want {
				other--
			}
		}
		if other != 0 || len(e.tasks) != len(e.notes.tasks) {
			t.wrong(e.name, fmt.Sprintf("%d of %d shown otherwise", max(other, len(e.notes.tasks)-len(e.tasks)), len(e.notes.tasks)))
		}
	}
	return t.verdict("the inbox shows whose task each conversation is, and what is not read", each(t.total))
}

// eventsAgree: what the API logged as delivered is what came, no more and no less, each signed.
func eventsAgree(all []evidence) verdict {
	var t tally
	for _, e := range all {
		missing, pending := 0, 0
		came := map[string]bool{}
		for _, ev := range e.events {
			came[ev.ID] = true
		}
		for id, status := range e.logged {
			if status == "pending" {
				pending++
			} else if !came[id] {
				missing++
			}
		}
		strange := 0
		for id := range came {
			if e.logged[id] != "delivered" {
				strange++
			}
		}
		t.add("events", len(e.events))
		t.add("again", e.again)
		t.add("stumbled", e.stumbled)
		lost := max(0, e.stumbled-e.again)
		if missing+pending+strange+e.wrong+lost > 0 {
			t.wrong(e.name, fmt.Sprintf("%d did not come, %d still wait, %d are not logged as delivered, %d not signed as they must be, %d did not come again", missing, pending, strange, e.wrong, lost))
		}
	}
	return t.verdict("every event that the API logged came to the CRM, signed",
		fmt.Sprintf("%s events, of which the CRM answered %s with an error; %s came again", number(t.total["events"]), number(t.total["stumbled"]), number(t.total["again"])))
}

func inOrder(all []evidence) verdict {
	var t tally
	for _, e := range all {
		for _, turns := range e.notes.turns {
			if len(turns) > 1 {
				t.add("people", 1)
			}
		}
		if n := stack.OutOfOrder(e.notes.turns, e.sends); n > 0 {
			t.wrong(e.name, fmt.Sprintf("%d before an earlier one", n))
		}
	}
	return t.verdict("each person's messages went in their order", number(t.total["people"])+" people got more than one")
}

// rejections counts by code what was refused at once and what was rejected later.
func (e evidence) rejections() map[string]int {
	out := map[string]int{}
	for code, n := range e.notes.refused {
		out[code] += n
	}
	for _, m := range e.listed {
		if m.status == "rejected" {
			out[m.code]++
		}
	}
	return out
}

func refusedAsForeseen(all []evidence) verdict {
	var t tally
	for _, e := range all {
		got := e.rejections()
		for code, n := range got {
			t.add(code, n)
		}
		if each(got) != each(e.foreseen) {
			t.wrong(e.name, "foreseen "+cmp.Or(each(e.foreseen), "none"))
		}
	}
	return t.verdict("rejected is what plans, blocks and opt-outs forbid, and nothing else", each(t.total))
}

// each writes counted things, most first: "5 usage_limit_reached, 2 recipient_opted_out".
func each(counted map[string]int) string {
	type one struct {
		what string
		n    int
	}
	var list []one
	for what, n := range counted {
		list = append(list, one{what, n})
	}
	slices.SortFunc(list, func(a, b one) int { return cmp.Or(cmp.Compare(b.n, a.n), strings.Compare(a.what, b.what)) })
	var parts []string
	for _, o := range list {
		parts = append(parts, number(o.n)+" "+o.what)
	}
	return strings.Join(parts, ", ")
}
