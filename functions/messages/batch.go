package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/message"
	"contactcenter/shared/queue"
	"contactcenter/shared/restriction"
)

const (
	// maxBatch is how many messages a batch has, maxBatchBody its body in bytes.
	maxBatch     = 100
	maxBatchBody = 1 << 20
	// batchAtOnce bounds how many messages of a batch are checked, and recorded, side by side.
	batchAtOnce = 16
)

// batch is one request to send several messages.
type batch struct {
	*intake
	id id.Batch
	// old: an earlier request made the ids, so their references may be known already.
	old   bool
	items []item
}

// item is one message of a batch and what became of it: accepted or refused.
type item struct {
	req     api.SendMessageRequest
	message message.Message
	err     error
}

// SendBatch accepts messages as SendMessage does, ten references with a request to the queue.
func (h *Handler) SendBatch(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), stepsTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	b := &batch{intake: &intake{Handler: h, r: r, principal: api.PrincipalFrom(ctx), began: h.Now()}}
	results, replayed, err := b.run(ctx)
	if headerErr := b.limits.setHeaders(w.Header(), h.Now()); headerErr != nil {
		api.Note(ctx, headerErr)
	}
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	if replayed {
		w.Header().Set(idempotency.ReplayedHeader, "true")
	}
	api.WriteJSON(w, http.StatusAccepted, api.BatchResults{Results: results})
}

// run accepts the batch, or finds what an earlier request with the same key made.
func (b *batch) run(ctx context.Context) ([]api.BatchResult, bool, error) {
	accountID := b.principal.AccountID
	if !account.ValidID(accountID) {
		return nil, false, api.NewProblem(api.CodeForbidden).WithDetail("The token's account_id can't be the id of an account.")
	}
	body, bodyErr := api.ReadBodyOf(b.r, maxBatchBody)
	var keyErr error
	b.key, b.hasKey, keyErr = idempotency.KeyFrom(b.r)
	if err := firstError(bodyErr, keyErr); err != nil {
		return nil, false, err
	}
	var err error
	if b.id, err = b.IDs.NewBatch(); err != nil {
		return nil, false, err
	}
	if !b.hasKey {
		results, err := b.accept(ctx, body)
		return results, false, err
	}
	return b.acceptOnce(ctx, body)
}

// acceptOnce accepts the batch under a key. The key's record names the batch before there is any message of it, so that
// a repeat runs again under the same ids, and afterwards what became of each message, without a word of what it says.
func (b *batch) acceptOnce(ctx context.Context, body []byte) ([]api.BatchResult, bool, error) {
	mine := idempotency.Record{Payload: idempotency.Hash(body), Subject: b.id.Unique, Deadline: b.id.Time().Add(message.IntakeTime)}
	known, taken, err := b.Keys.Begin(ctx, b.key, mine)
	if err != nil {
		return nil, false, api.TryAgain(b.r, err)
	}
	if !taken {
		switch {
		case !known.SamePayload(mine.Payload):
			return nil, false, idempotency.Reused()
		case known.Answer != nil:
			results, err := b.answered(ctx, *known.Answer)
			return results, true, err
		case known.InUse(b.Now()):
			return nil, false, idempotency.InUse()
		}
		if b.id, err = id.ParseBatch(known.Subject); err != nil {
			return nil, false, err
		}
		mine.Subject, mine.Deadline, b.old = known.Subject, b.began.Add(message.IntakeTime).Truncate(time.Millisecond), true
		switch err := b.Keys.TakeOver(ctx, b.key, known, mine.Deadline); {
		case errors.Is(err, idempotency.ErrChanged):
			return nil, false, idempotency.InUse()
		case err != nil:
			return nil, false, api.TryAgain(b.r, err)
		}
	}
	results, err := b.accept(ctx, body)
	if err != nil || b.unsure() {
		b.release(ctx, mine)
		return results, false, err
	}
	b.keep(ctx, mine, results)
	return results, false, nil
}

// unsure reports whether a message may have been accepted and was not answered so: the same request is to run again then.
func (b *batch) unsure() bool {
	for _, it := range b.items {
		if p := new(api.Problem); it.err != nil && (!errors.As(it.err, &p) || p.Status >= http.StatusInternalServerError) {
			return true
		}
	}
	return false
}

// outcome is what is kept of one result.
type outcome struct {
	MessageID string       `json:"message_id,omitempty"`
	Problem   *api.Problem `json:"problem,omitempty"`
}

// keep keeps what became of each message. What was accepted is accepted: when this fails, a repeat finds the messages by
// their ids.
func (b *batch) keep(ctx context.Context, mine idempotency.Record, results []api.BatchResult) {
	kept := make([]outcome, len(results))
	for i, r := range results {
		if r.Message != nil {
			kept[i].MessageID = r.Message.ID
		}
		kept[i].Problem = r.Problem
	}
	raw, err := json.Marshal(kept)
	if err != nil {
		api.Note(ctx, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingTimeout)
	defer cancel()
	answer := idempotency.Answer{Status: http.StatusAccepted, Body: string(raw)}
	if err := b.Keys.Complete(ctx, b.key, mine, answer); err != nil && !errors.Is(err, idempotency.ErrChanged) {
		api.Note(ctx, err)
	}
}

// answered gives the results that were kept.
func (b *batch) answered(ctx context.Context, a idempotency.Answer) ([]api.BatchResult, error) {
	var kept []outcome
	if err := json.Unmarshal([]byte(a.Body), &kept); err != nil {
		return nil, err
	}
	results := make([]api.BatchResult, len(kept))
	err := side(len(kept), func(i int) error {
		results[i] = api.BatchResult{Index: i, Problem: kept[i].Problem}
		if kept[i].MessageID == "" {
			return nil
		}
		mid, err := id.ParseMessage(kept[i].MessageID)
		if err != nil {
			return err
		}
		m, err := b.Messages.Get(ctx, b.principal.AccountID, mid)
		if errors.Is(err, message.ErrNotFound) {
			results[i].Problem = api.NewProblem(api.CodeNotFound).WithDetail("The message was accepted, and is gone since.")
			return nil
		}
		if err != nil {
			return api.TryAgain(b.r, err)
		}
		v := api.AcceptedMessageOf(m)
		results[i].Message = &v
		return nil
	})
	return results, err
}

// accept checks every message, and accepts those that nothing stands against.
func (b *batch) accept(ctx context.Context, body []byte) ([]api.BatchResult, error) {
	accountID := b.principal.AccountID
	problems, bodyErr := api.DecodeEach(body, "messages", maxBatch, func(i int) any {
		b.items = append(b.items, item{})
		return &b.items[i].req
	})
	b.ahead = b.readAhead(ctx, accountID, b.requests()...)
	b.limitsErr = b.readLimits(ctx, accountID)
	version, agreement, err := b.rulesAccepted(ctx, accountID)
	if err != nil {
		return nil, err
	}
	if bodyErr != nil {
		return nil, bodyErr
	}
	if err := b.allowed(restriction.Way{}); err != nil {
		return nil, err
	}
	// No error: each message has its own.
	_ = side(len(b.items), func(i int) error {
		it := &b.items[i]
		in := *b.intake
		in.req = it.req
		if problems[i] != nil {
			it.err = in.malformed(problems[i])
			return nil
		}
		in.newID = func(conversation string) (id.Message, error) { return b.id.Message(i, conversation) }
		if b.old {
			earlier, err := in.made(ctx, accountID)
			if !errors.Is(err, message.ErrNotFound) {
				it.message, it.err = earlier, err
				return nil
			}
		}
		it.message, it.err = in.one(ctx, accountID, version.Version)
		return nil
	})
	if b.any() {
		if err := b.acceptByUse(ctx, accountID, version, agreement); err != nil {
			return nil, err
		}
		b.queue(ctx)
		b.recordAll(ctx)
	}
	return b.results(), nil
}

// made gives the message that an earlier request of the batch has made: what was accepted once is accepted, whatever has
// changed since. It returns message.ErrNotFound when there is none.
func (in *intake) made(ctx context.Context, accountID string) (message.Message, error) {
	if in.req.ConversationID == nil && (in.req.ChannelID == nil || in.req.To == nil) {
		return message.Message{}, message.ErrNotFound
	}
	channelID, to, err := in.destination(ctx, accountID)
	if err != nil {
		return message.Message{}, message.ErrNotFound // it can't have been accepted
	}
	mid, err := in.newID(in.Conversations.Key(accountID, channelID, to))
	if err != nil {
		return message.Message{}, err
	}
	m, err := in.Messages.Get(ctx, accountID, mid)
	if err != nil && !errors.Is(err, message.ErrNotFound) {
		err = api.TryAgain(in.r, err)
	}
	return m, err
}

func (b *batch) requests() []api.SendMessageRequest {
	list := make([]api.SendMessageRequest, len(b.items))
	for i, it := range b.items {
		list[i] = it.req
	}
	return list
}

func (b *batch) any() bool {
	for _, it := range b.items {
		if it.err == nil {
			return true
		}
	}
	return false
}

// queue makes the messages known to the dispatcher, in their order.
func (b *batch) queue(ctx context.Context) {
	old := b.old && b.Now().Sub(b.id.Time()) >= message.IntakeTime/2 // as with a single message
	var waiting []int
	for i, it := range b.items {
		if it.err == nil && (it.message.SendAt.IsZero() || b.soon(it.message)) {
			waiting = append(waiting, i)
		}
	}
	for len(waiting) > 0 {
		now := waiting[:min(len(waiting), queue.BatchSize)]
		waiting = waiting[len(now):]
		list := make([]queue.Delayed, len(now))
		at := map[id.Message]int{}
		for j, i := range now {
			list[j] = queue.Delayed{Message: b.items[i].message.ID, Delay: b.delay(b.items[i].message, old)}
			at[list[j].Message] = i
		}
		failed, err := b.Queue.SendBatch(ctx, b.principal.AccountID, list)
		if err != nil {
			for _, i := range now {
				b.items[i].err = api.TryAgain(b.r, err)
			}
		}
		for _, m := range failed {
			b.items[at[m]].err = api.TryAgain(b.r, errors.New("queue reference: SQS did not take it"))
		}
	}
}

// recordAll writes the messages that are queued.
func (b *batch) recordAll(ctx context.Context) {
	_ = side(len(b.items), func(i int) error {
		it := &b.items[i]
		if it.err != nil {
			return nil
		}
		if err := b.record(ctx, it.message); err != nil {
			it.err = api.TryAgain(b.r, err)
		}
		return nil
	})
	var made []message.Message
	for _, it := range b.items {
		if it.err == nil {
			made = append(made, it.message)
		}
	}
	if err := b.tell(ctx, made...); err != nil {
		for i := range b.items {
			b.items[i].err = firstError(b.items[i].err, err)
		}
	}
}

func (b *batch) results() []api.BatchResult {
	out := make([]api.BatchResult, len(b.items))
	for i, it := range b.items {
		out[i].Index = i
		if it.err != nil {
			out[i].Problem = api.ProblemOf(b.r, it.err)
			continue
		}
		v := api.AcceptedMessageOf(it.message)
		out[i].Message = &v
	}
	return out
}

// side runs f for 0 to n-1, some side by side, and gives the first error.
func side(n int, f func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(batchAtOnce)
	for i := range n {
		group.Go(func() error { return f(i) })
	}
	return group.Wait()
}
