package day

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"contactcenter/scripts/demo/internal/stack"
	"contactcenter/shared/api"
	"contactcenter/shared/client"
	"contactcenter/shared/content"
)

const (
	// patience is how long an agent waits until the CRM shows what somebody wrote, before it answers all the same.
	patience = 90 * time.Second
	// soonest is how far ahead a message for later is at least: the block under which it is to come due must have begun by then, however slow
	// the machine is. never is how far ahead one is that is recalled: whoever does that must come before.
	soonest = 10 * time.Second
	never   = 15 * time.Minute
	// stepLimit bounds one step of an agent's.
	stepLimit = 10 * time.Minute
)

// actor plays an account: its agents, and the people whom they talk to.
type actor struct {
	member
	index   int
	account *stack.Account
	agents  []*client.Client
	names   []string
	// endpoint is the CRM, as the account registered it.
	endpoint string
	book     *book
	crm      *crm
	clock    *clock
	// run tells messages of this run from those of others: their texts and their recipients.
	run run
}

// run is what is never the same: what sets the messages of one run apart from those of all others, also of the same seed.
type run struct {
	// reference is the client_reference of all its messages, tag the beginning of the numbers in their texts.
	reference, tag string
	// people is the first of the numbers that are its recipients'.
	people int
}

// peopleOfAccount is how many recipients an account has at most.
const peopleOfAccount = 1000

// address is a person's number.
func (a *actor) address(person int) string {
	if person < 0 {
		return noSuchNumbers()[-1-person]
	}
	return stack.Person(a.run.people + a.index*peopleOfAccount + person)
}

// text is a step's, with its own number.
func (a *actor) text(s step, no int) content.Content {
	number := fmt.Sprintf("%s-%04d", a.run.tag, no)
	return content.Content{Type: content.TypeText, Text: strings.ReplaceAll(s.text, "{no}", number)}
}

// do plays one step. What goes wrong is noted in the book.
func (a *actor) do(ctx context.Context, s step) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	var err error
	switch s.kind {
	case write, later:
		err = a.send(ctx, s, a.order(s, s.person, s.no))
	case answer:
		err = a.answer(ctx, s)
	case spread:
		err = a.spread(ctx, s)
	case recall:
		if _, err = a.agents[s.agent].CancelMessage(ctx, a.book.later(s.no)); err == nil {
			a.book.cancel()
		}
	case hear:
		err = a.hear(ctx, s)
	}
	if err != nil {
		a.book.fail(clockTime(s.at) + " " + err.Error())
	}
}

// order is what is asked for, to a person whom the account need not have talked to.
func (a *actor) order(s step, person, no int) api.SendMessageRequest {
	to := a.address(person)
	o := api.SendMessageRequest{ChannelID: &a.account.Channel.ID, To: &to, Content: a.text(s, no), ClientReference: &a.run.reference}
	if s.hold {
		hold := api.OnLimit("hold")
		o.OnLimit = &hold
	}
	if s.kind == later {
		ahead := max(soonest, a.clock.real(s.due))
		if s.recalled {
			ahead = max(never, ahead)
		}
		due := api.At(time.Now().Add(ahead))
		o.SendAt = &due
	}
	return o
}

// send sends one message. A refusal that says why is an answer like any other.
func (a *actor) send(ctx context.Context, s step, o api.SendMessageRequest) error {
	m, err := a.agents[s.agent].SendMessage(ctx, o, "")
	if p := new(api.Problem); errors.As(err, &p) {
		return a.refused(p)
	}
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	a.book.accept(s, s.person, s.no, m.ID)
	return nil
}

// refused notes a refusal. What says that it is nobody's decision is an error.
func (a *actor) refused(p *api.Problem) error {
	switch p.Code {
	case api.CodeUsageLimitReached, "account_restricted", "recipient_opted_out":
		a.book.refuse(string(p.Code))
		return nil
	}
	return fmt.Errorf("send: %d %s %s", p.Status, p.Code, p.RequestID)
}

// spread sends one batch, each message of which has an answer of its own.
func (a *actor) spread(ctx context.Context, s step) error {
	var batch api.SendBatchRequest
	for i, person := range s.people {
		batch.Messages = append(batch.Messages, a.order(s, person, s.no+i))
	}
	got, err := a.agents[s.agent].SendBatch(ctx, batch, "")
	if err != nil {
		return fmt.Errorf("send a batch: %w", err)
	}
	if len(got.Results) != len(s.people) {
		return fmt.Errorf("a batch of %d has %d results", len(s.people), len(got.Results))
	}
	for _, r := range got.Results {
		switch {
		case r.Message != nil:
			a.book.accept(s, s.people[r.Index], s.no+r.Index, r.Message.ID)
		case r.Problem != nil:
			err = errors.Join(err, a.refused(r.Problem))
		}
	}
	return err
}

// hear lets somebody write, as an answer to what they got last.
func (a *actor) hear(ctx context.Context, s step) error {
	last, _ := a.book.person(s.person)
	if err := a.account.Inbound(ctx, a.address(s.person), s.text, last); err != nil {
		return fmt.Errorf("let somebody write: %w", err)
	}
	a.book.hear(s.person)
	return nil
}

// answer is an agent's: when the CRM shows what somebody wrote, it takes the conversation, marks it read, and writes back.
func (a *actor) answer(ctx context.Context, s step) error {
	_, written := a.book.person(s.person)
	began := time.Now()
	var got told
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := stack.Wait(limited, 50*time.Millisecond, func() (shown bool, _ error) {
		got, shown = a.crm.heard(a.index, a.address(s.person), written)
		return shown, nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	o := a.order(s, s.person, s.no)
	if err == nil {
		c := a.agents[s.agent]
		if _, err := c.AssignConversation(ctx, got.Data.ConversationID, api.AssignConversationRequest{UserID: a.names[s.agent]}); err != nil {
			return fmt.Errorf("take a conversation: %w", err)
		}
		if _, err := c.MarkConversationRead(ctx, got.Data.ConversationID, api.MarkReadRequest{UpToMessageID: got.Data.ID}); err != nil {
			return fmt.Errorf("mark a conversation read: %w", err)
		}
		a.book.attend(s.person, written, a.names[s.agent], time.Since(began))
		o.ChannelID, o.To, o.ConversationID = nil, nil, &got.Data.ConversationID
	}
	return a.send(ctx, s, o)
}
