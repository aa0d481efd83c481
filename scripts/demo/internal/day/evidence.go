package day

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"contactcenter/scripts/demo/internal/stack"
	"contactcenter/shared/api"
	"contactcenter/shared/client"
)

// shown is an outbound message as the API shows it.
type shown struct {
	status, code, held string
	// queued is how long it was on its way before the provider had it, without the time that it was held; late was for later.
	queued time.Duration
	late   bool
}

// evidence is all that is known of an account in the end, from each of those who know something.
type evidence struct {
	name, provider string
	// asked, heard and foreseen are the plan's: messages that were to be asked for, replies, and refusals by code.
	asked, heard int
	foreseen     map[string]int
	// notes are the agents'.
	notes notes
	// listed are the API's messages, inbound its replies, usage what it counted in the present period and in those that were closed.
	listed  map[string]shown
	inbound map[string]bool
	usage   stack.Usage
	closed  int64
	// turned: a period ended by itself meanwhile, so that its figures are gone.
	turned bool
	// tasks are the API's conversations that people wrote in, by person.
	tasks map[int]task
	// sends are the provider's.
	sends []stack.Send
	// arrived is the CRM's. logged is how the API says that each event was delivered.
	arrived
	logged map[string]string
}

// gather collects the evidence of all accounts.
func (d *day) gather(ctx context.Context) ([]evidence, error) {
	all := make([]evidence, len(d.actors))
	group, ctx := errgroup.WithContext(ctx)
	for i, a := range d.actors {
		group.Go(func() error {
			var err error
			all[i], err = a.evidence(ctx)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("collect what is known: %w", err)
	}
	for i := range all {
		all[i].turned = turned(all[i].usage.Period, d.began)
		all[i].asked, all[i].heard, all[i].foreseen, all[i].closed = d.plan.asked(i), d.plan.heard(i), d.plan.refusals(i), d.facts.closed[i]
	}
	return all, nil
}

// turned tells whether a period, "2026-11" or "2026-11-24", began after a time.
func turned(period string, after time.Time) bool {
	for _, layout := range []string{"2006-01", "2006-01-02"} {
		if began, err := time.Parse(layout, period); err == nil {
			return began.After(after)
		}
	}
	return false
}

func (a *actor) evidence(ctx context.Context) (evidence, error) {
	e := evidence{name: a.name, provider: a.need.Provider, notes: a.book.read(), arrived: a.crm.arrived(a.index)}
	var err error
	if e.listed, err = a.listed(ctx); err != nil {
		return e, err
	}
	if e.inbound, e.tasks, err = a.inbound(ctx); err != nil {
		return e, err
	}
	if e.logged, err = a.logged(ctx); err != nil {
		return e, err
	}
	if e.usage, err = a.account.Usage(ctx); err != nil {
		return e, err
	}
	e.sends, err = a.account.Sends(ctx)
	return e, err
}

// pages asks for one page of a list after the other.
func pages(ask func(token string) (next string, err error)) error {
	for token := ""; ; {
		next, err := ask(token)
		if err != nil || next == "" {
			return err
		}
		token = next
	}
}

// pageSize is the largest that the API has.
const pageSize = 200

func (a *actor) listed(ctx context.Context) (map[string]shown, error) {
	out := map[string]shown{}
	err := pages(func(token string) (string, error) {
		page, err := a.agents[0].ListMessages(ctx, client.ListMessagesQuery{ClientReference: a.run.reference, PageSize: pageSize, PageToken: token})
		for _, m := range page.Items {
			out[m.ID] = show(m)
		}
		return page.NextPageToken, err
	})
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	return out, nil
}

func show(m api.Message) shown {
	out := shown{status: string(m.Status), held: m.HeldReason, late: m.SendAt != nil}
	if m.Error != nil {
		out.code = m.Error.Code
	}
	if m.Latency != nil {
		out.queued = time.Duration(m.Latency.QueueMs) * time.Millisecond
	}
	return out
}

// inbound are the replies, and the conversations that have them.
func (a *actor) inbound(ctx context.Context) (replies map[string]bool, tasks map[int]task, err error) {
	replies, tasks = map[string]bool{}, map[int]task{}
	people := map[string]int{}
	for person := range peopleOfAccount {
		people[a.address(person)] = person
	}
	err = pages(func(token string) (string, error) {
		page, err := a.agents[0].ListConversations(ctx, client.ListConversationsQuery{ChannelID: a.account.Channel.ID, PageSize: pageSize, PageToken: token})
		for _, c := range page.Items {
			if c.LastInboundAt == nil || err != nil {
				continue
			}
			t := task{unread: int(c.UnreadCount)}
			if c.Assignee != nil {
				t.agent = c.Assignee.UserID
			}
			tasks[people[c.Address]] = t
			err = a.replies(ctx, c.ID, replies)
		}
		return page.NextPageToken, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list replies: %w", err)
	}
	return replies, tasks, nil
}

func (a *actor) replies(ctx context.Context, conversation string, into map[string]bool) error {
	return pages(func(token string) (string, error) {
		page, err := a.agents[0].ListMessages(ctx, client.ListMessagesQuery{ConversationID: conversation, PageSize: pageSize, PageToken: token})
		for _, m := range page.Items {
			if m.Direction == "inbound" {
				into[m.ID] = true
			}
		}
		return page.NextPageToken, err
	})
}

// logged is what the API says of the deliveries to the account's endpoint.
func (a *actor) logged(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	err := pages(func(token string) (string, error) {
		page, err := a.agents[0].ListWebhookDeliveries(ctx, a.endpoint, client.ListWebhookDeliveriesQuery{PageSize: pageSize, PageToken: token})
		for _, d := range page.Items {
			out[d.EventID] = d.Status
		}
		return page.NextPageToken, err
	})
	if err != nil {
		return nil, fmt.Errorf("list deliveries of events: %w", err)
	}
	return out, nil
}

// details reads each accepted message by itself: only so the API says how long it took.
func (a *actor) details(ctx context.Context, e *evidence) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	found := make([]shown, len(e.notes.accepted))
	for i, id := range e.notes.accepted {
		group.Go(func() error {
			m, err := a.agents[0].GetMessage(ctx, id)
			found[i] = show(m)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("read messages: %w", err)
	}
	for i, id := range e.notes.accepted {
		e.listed[id] = found[i]
	}
	return nil
}
