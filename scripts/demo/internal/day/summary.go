package day

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"contactcenter/scripts/demo/internal/screen"
)

// settle waits in the evening until everything has come to its end and all agree, for as long as that may take.
func (d *day) settle(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	return d.meanwhile(limited, "the last messages and events are on their way", func(ctx context.Context) error {
		for {
			all, err := d.gather(ctx)
			if err == nil && agreed(verdicts(all, d.facts)) {
				return nil
			}
			if pause(ctx, 2*time.Second) != nil {
				return nil // what does not agree by now is for the checks to say
			}
		}
	})
}

func agreed(all []verdict) bool {
	for _, v := range all {
		if !v.kept {
			return false
		}
	}
	return true
}

// close shows the summary, and checks what the day promised unless it was interrupted.
func (d *day) close(ctx context.Context, interrupted bool) error {
	ctx, cancel := context.WithTimeout(ctx, meanwhile)
	defer cancel()
	d.show()
	d.screen.Clear()
	all, err := d.gather(ctx)
	if err != nil {
		return err
	}
	for i, a := range d.actors {
		if err := a.details(ctx, &all[i]); err != nil {
			return err
		}
	}
	title := "The day"
	if interrupted {
		title = "The day until " + clockTime(d.clock.shows()) + ", when it was interrupted"
	}
	d.screen.Title(title)
	for _, l := range summary(all) {
		d.screen.Line(l)
	}
	if interrupted {
		return nil
	}
	d.screen.Line("")
	d.screen.Note("played in " + screen.Milliseconds(time.Since(d.began)) + "; sent are all that were delivered or read, too; what API, providers and CRM say of it:")
	for _, v := range verdicts(all, d.facts) {
		d.screen.Check(v.kept, v.promise, v.found)
	}
	return nil
}

// account is one line of the summary.
type account struct{ accepted, sent, delivered, read, failed, canceled, held, rejected, replies, events int }

func (e evidence) account() account {
	out := account{accepted: len(e.notes.accepted), held: len(e.held()), rejected: sum(e.rejections()), replies: len(e.inbound), events: len(e.events)}
	for _, m := range e.listed {
		switch m.status {
		case "read":
			out.read++
			fallthrough
		case "delivered":
			out.delivered++
			fallthrough
		case "sent":
			out.sent++
		case "failed":
			out.failed++
		case "canceled":
			out.canceled++
		}
	}
	return out
}

// held are the messages that waited, with the reason: as they were seen, or as the CRM was told.
func (e evidence) held() map[string]string {
	out := map[string]string{}
	for _, ev := range e.events {
		if ev.Type == "message.held" {
			out[ev.Data.ID] = "not seen why"
		}
	}
	for id, why := range e.notes.held {
		out[id] = why
	}
	for id, m := range e.listed {
		if m.held != "" {
			out[id] = m.held
		}
	}
	return out
}

// summary is what the day came to, in lines.
func summary(all []evidence) []string {
	out := []string{accountColumns().head()}
	var total account
	for _, e := range all {
		a := e.account()
		out = append(out, a.row(e.name))
		total = total.plus(a)
	}
	out = append(out, total.row("all"), "")
	for _, part := range []struct {
		title string
		of    func(evidence) map[string]int
	}{{"rejected", evidence.rejections}, {"failed", evidence.failures}, {"held", evidence.heldWhy}, {"events", evidence.eventKinds}} {
		out = append(out, reasons(all, part.title, part.of)...)
	}
	return append(out, slowOnes(all)...)
}

func accountColumns() table {
	return table{"accepted", "sent", "delivered", "read", "failed", "canceled", "held", "rejected", "replies", "events"}
}

func (a account) row(name string) string {
	return accountColumns().row(name, a.accepted, a.sent, a.delivered, a.read, a.failed, a.canceled, a.held, a.rejected, a.replies, a.events)
}

func (a account) plus(b account) account {
	return account{
		a.accepted + b.accepted, a.sent + b.sent, a.delivered + b.delivered, a.read + b.read, a.failed + b.failed, a.canceled + b.canceled, a.held + b.held,
		a.rejected + b.rejected, a.replies + b.replies, a.events + b.events,
	}
}

func (e evidence) failures() map[string]int {
	out := map[string]int{}
	for _, m := range e.listed {
		if m.status == "failed" {
			out[m.code]++
		}
	}
	return out
}

func (e evidence) heldWhy() map[string]int {
	out := map[string]int{}
	for _, why := range e.held() {
		out[why]++
	}
	return out
}

func (e evidence) eventKinds() map[string]int {
	out := map[string]int{}
	for _, ev := range e.events {
		out[strings.TrimPrefix(ev.Type, "message.")]++
	}
	return out
}

// reasons are the accounts of which something is told, with what it was.
func reasons(all []evidence, title string, of func(evidence) map[string]int) []string {
	if title == "events" { // alike for all
		together := map[string]int{}
		for _, e := range all {
			for what, n := range of(e) {
				together[what] += n
			}
		}
		return wrapped(title, each(together))
	}
	var parts []string
	for _, e := range all {
		if text := each(of(e)); text != "" {
			parts = append(parts, wrapped(title, e.name+": "+text)...)
			title = ""
		}
	}
	return parts
}

// width is where the summary's lines are broken.
const width = 116

// wrapped is a text under a title, in lines.
func wrapped(title, text string) []string {
	if text == "" {
		return nil
	}
	var out []string
	line := fmt.Sprintf("  %-9s", title)
	for _, part := range strings.SplitAfter(text, ", ") {
		part = strings.TrimSpace(part)
		if len(line)+1+len(part) > width {
			out = append(out, line)
			line = strings.Repeat(" ", 11)
		}
		line += " " + part
	}
	return append(out, line)
}

// slowOnes tells of messages and replies that were on their way for long without a reason that is known here.
func slowOnes(all []evidence) []string {
	var out []string
	note := func(name, what string, took []time.Duration) {
		if len(took) > 0 {
			out = append(out, fmt.Sprintf("  slow      %s: %s after more than %.0f s: %s, at most %s", name, what, slow.Seconds(), number(len(took)), screen.Milliseconds(slices.Max(took))))
		}
	}
	for _, e := range all {
		var took []time.Duration
		for id, m := range e.listed {
			// What was seen waiting had a reason, though only some reasons are counted apart.
			if _, held := e.notes.held[id]; !held && !m.late && m.queued > slow {
				took = append(took, m.queued)
			}
		}
		note(e.name, "messages that the provider had", took)
		note(e.name, "replies that the CRM was told", e.notes.late)
	}
	return out
}
