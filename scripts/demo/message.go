package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"contactcenter/scripts/demo/internal/screen"
	"contactcenter/scripts/demo/internal/stack"
)

const messageLimit = 1000

// playMessage shows a message hop by hop: the recipient writes, an agent answers, the recipient replies. Then it sends
// others that nobody looks at on their way, to know their cost: looking costs read units too.
func playMessage(ctx context.Context, d *demo) error {
	a, err := stack.Ready(ctx, d.stack, stack.Need{Limit: messageLimit})
	defer a.Leave(ctx)
	if err != nil {
		return err
	}
	d.screen.Note("account " + a.ID + ", Rules accepted, channel " + a.Channel.ID + " active")
	conversation, err := d.recipientWrites(ctx, a)
	if err != nil {
		return err
	}
	// A cold function takes its time: what is shown is a message like most others.
	if _, err := a.Messages(ctx, url.Values{"conversation_id": {conversation}}); err != nil {
		return err
	}
	t := &trip{account: a, screen: d.screen, conversation: conversation}
	if err := t.travel(ctx); err != nil {
		return err
	}
	d.screen.Line("  " + d.screen.Paint(screen.Bold, screen.Way(t.way)))
	if err := t.check(ctx); err != nil {
		return err
	}
	return d.showCost(ctx, a, conversation)
}

// recipientWrites lets a person write first, and gives the conversation.
func (d *demo) recipientWrites(ctx context.Context, a *stack.Account) (string, error) {
	began := time.Now()
	if err := a.Inbound(ctx, stack.Person(1), "question "+stack.Unique(""), ""); err != nil {
		return "", fmt.Errorf("let a recipient write: %w", err)
	}
	var id string
	err := stack.Wait(ctx, 10*time.Millisecond, func() (bool, error) {
		var list struct {
			Items []struct {
				ID string `json:"id"`
			} `json:"items"`
		}
		if err := a.Call(ctx, http.MethodGet, "/v1/conversations?channel_id="+a.Channel.ID, nil, http.StatusOK, &list); err != nil {
			return false, fmt.Errorf("read the conversations: %w", err)
		}
		if len(list.Items) > 0 {
			id = list.Items[0].ID
		}
		return id != "", nil
	})
	if err != nil {
		return "", err
	}
	d.screen.Hop(time.Since(began), "the recipient has written: edna → callback → conversation")
	return id, nil
}

// answer sends an agent's answer in a conversation.
func answer(ctx context.Context, a *stack.Account, conversation, what string) (stack.Message, error) {
	var m stack.Message
	err := a.Call(ctx, http.MethodPost, "/v1/messages", map[string]any{"conversation_id": conversation, "content": stack.Text(what)}, http.StatusAccepted, &m)
	if err != nil {
		return m, fmt.Errorf("answer: %w", err)
	}
	return m, nil
}

func untilRead(ctx context.Context, a *stack.Account, id string) error {
	err := stack.Wait(ctx, 20*time.Millisecond, func() (bool, error) {
		m, err := a.Message(ctx, id)
		if err == nil && m.Ended() && !m.Taken() {
			err = fmt.Errorf("the message ends as %s", m.Status)
		}
		return m.Status == "read", err
	})
	if err != nil {
		return fmt.Errorf("wait for the message to be read: %w", err)
	}
	return nil
}

// trip is a message on its way.
type trip struct {
	account      *stack.Account
	screen       *screen.Screen
	conversation string

	began time.Time
	id    string
	sum   string
	way   []string
	// before is what the account had used when it began.
	before stack.Usage
}

func (t *trip) hop(at time.Duration, what string) {
	t.way = append(t.way, what)
	if len(t.way) > 1 {
		what = "→ " + what
	}
	t.screen.Hop(at, what)
}

func (t *trip) travel(ctx context.Context) error {
	before, err := t.account.Settled(ctx)
	if err != nil {
		return err
	}
	t.before = before
	content := "answer " + stack.Unique("")
	sum := sha256.Sum256([]byte(content))
	t.sum = hex.EncodeToString(sum[:])
	t.began = time.Now()
	sent, err := answer(ctx, t.account, t.conversation, content)
	if err != nil {
		return err
	}
	took := time.Since(t.began)
	t.id = sent.ID
	t.hop(took, "API 202 in "+screen.Milliseconds(took))
	t.hop(took, "queue")
	for _, part := range []func(context.Context) error{t.gate, t.statuses, t.reply} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// gate waits for the message to be counted and to be handed over. The provider's own time says when it had it; the
// gate came before.
func (t *trip) gate(ctx context.Context) error {
	err := stack.Wait(ctx, 2*time.Millisecond, func() (bool, error) {
		u, err := t.account.Usage(ctx)
		if err != nil || u.Used <= t.before.Used {
			return false, err
		}
		passed := time.Since(t.began)
		calls, err := t.account.SendsOf(ctx, t.id)
		if err != nil {
			return false, err
		}
		if len(calls) > 0 {
			passed = min(passed, calls[0].At.Sub(t.began))
		}
		t.hop(passed, fmt.Sprintf("gate %s/%s", screen.Grouped(u.Used), screen.Grouped(u.Limit)))
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the gate: %w", err)
	}
	return stack.Wait(ctx, 2*time.Millisecond, func() (bool, error) {
		calls, err := t.account.SendsOf(ctx, t.id)
		for _, c := range calls {
			if c.Accepted {
				t.hop(c.At.Sub(t.began), "edna accepted")
				return true, nil
			}
		}
		return false, err
	})
}

// statuses waits for what the provider reports. A step may be skipped: the later callback can overtake.
func (t *trip) statuses(ctx context.Context) error {
	for _, status := range []string{"delivered", "read"} {
		skipped := false
		err := stack.Wait(ctx, 2*time.Millisecond, func() (bool, error) {
			m, err := t.account.Message(ctx, t.id)
			if err != nil {
				return false, err
			}
			if m.Ended() && !m.Taken() {
				return false, fmt.Errorf("the message ends as %s", m.Status)
			}
			skipped = m.Status == "read" && !m.Reached(status)
			return skipped || m.Reached(status), nil
		})
		if err != nil {
			return fmt.Errorf("wait for the message to be %s: %w", status, err)
		}
		if !skipped {
			t.hop(time.Since(t.began), status)
		}
	}
	return nil
}

func (t *trip) reply(ctx context.Context) error {
	if err := t.account.Inbound(ctx, stack.Person(1), "thanks "+stack.Unique(""), t.id); err != nil {
		return fmt.Errorf("let the recipient reply: %w", err)
	}
	err := stack.Wait(ctx, 2*time.Millisecond, func() (bool, error) {
		all, err := t.account.Messages(ctx, url.Values{"conversation_id": {t.conversation}})
		for _, m := range all {
			if m.Direction == "inbound" && m.ReplyTo == t.id {
				t.hop(time.Since(t.began), "reply")
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		return fmt.Errorf("wait for the reply: %w", err)
	}
	return nil
}

func (t *trip) check(ctx context.Context) error {
	calls, err := t.account.SendsOf(ctx, t.id)
	if err != nil {
		return err
	}
	u, err := t.account.Settled(ctx)
	if err != nil {
		return err
	}
	m, err := t.account.Message(ctx, t.id)
	if err != nil {
		return err
	}
	t.screen.Check(len(calls) == 1 && stack.Acceptances(calls)[t.id] == 1, "handed to the provider once", fmt.Sprintf("calls %d, accepted %d", len(calls), stack.Acceptances(calls)[t.id]))
	t.screen.Check(u.Used == t.before.Used+1 && u.InFlight == 0, "counted once", fmt.Sprintf("used %d → %d, in flight %d", t.before.Used, u.Used, u.InFlight))
	t.screen.Check(m.ContentSHA256 == t.sum, "what is kept is what was sent, byte for byte", "SHA-256 "+m.ContentSHA256[:min(12, len(m.ContentSHA256))]+"…")
	return nil
}
