package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"pgregory.net/rapid"

	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/queue"
	"contactcenter/shared/usage"
)

// TestResetsAndSendsInAnyOrderCountRight lets two resets and some dispatchers take their requests in any order, crash
// between any two, and cross the end of the period anywhere. Afterwards every message is handed over once and counted
// once, or held for want of room; none waits without a reference; and no period counts more than the plan allows.
// R-P.5.
func TestResetsAndSendsInAnyOrderCountRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	number := 0
	rapid.Check(t, func(rt *rapid.T) {
		number++
		s := newScene(rt, w, fmt.Sprintf("acct_%d", number))
		s.play()
		s.converge()
		s.verify()
	})
}

var errCrashed = errors.New("the process is gone")

// actor is one invocation. It stops before each of its requests until it is told to go on.
type actor struct {
	next    chan bool     // false: crash
	stopped chan struct{} // it stands before a request
	done    chan struct{}
	crashed bool
}

// step waits for its turn.
func (a *actor) step() error {
	if a.crashed {
		return errCrashed
	}
	a.stopped <- struct{}{}
	if !<-a.next {
		a.crashed = true
		return errCrashed
	}
	return nil
}

// turns puts an actor's turn before each request.
type turns struct {
	*actor
	db *dynamodb.Client
}

func (d turns) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	return d.db.GetItem(ctx, in, o...)
}

func (d turns) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	return d.db.PutItem(ctx, in, o...)
}

func (d turns) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	return d.db.UpdateItem(ctx, in, o...)
}

func (d turns) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	return d.db.DeleteItem(ctx, in, o...)
}

func (d turns) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	return d.db.Query(ctx, in, o...)
}

func (d turns) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	return d.db.BatchGetItem(ctx, in, o...)
}

// sender puts an actor's turn before each request to the queue, and notes the references.
type sender struct {
	*actor
	queue.SQS
	scene *scene
}

func (q sender) SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, o ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	if err := q.step(); err != nil {
		return nil, err
	}
	for _, e := range in.Entries {
		_, m, err := queue.Parse(*e.MessageBody)
		if err != nil {
			return nil, err
		}
		q.scene.references[m]++
	}
	return q.SQS.SendMessageBatch(ctx, in, o...)
}

// scene is one account with its messages, references and provider. One actor moves at a time, so nothing needs a lock.
type scene struct {
	rt         *rapid.T
	w          *world
	account    string
	messages   []id.Message
	references map[id.Message]int
	taken      map[id.Message]bool
	actors     []*actor
	nonce      uint32
}

func newScene(rt *rapid.T, w *world, account string) *scene {
	s := &scene{rt: rt, w: w, account: account, references: map[id.Message]int{}, taken: map[id.Message]bool{}}
	w.clock.set(time.Date(2026, 11, 30, 23, 58, 0, 0, time.UTC))
	w.plans.terms.Limit = rapid.Int64Range(1, 3).Draw(rt, "limit")
	w.gate(account)
	for i := range rapid.IntRange(2, 5).Draw(rt, "messages") {
		expires := rapid.IntRange(0, 5).Draw(rt, "expires") == 0
		m := w.message(account, recipient(i%3), func(m *message.Message) {
			if expires {
				m.ExpiresAt = w.clock.now().Add(time.Minute)
			}
		})
		s.messages = append(s.messages, m.ID)
		if rapid.Bool().Draw(rt, "held") {
			w.hold(m, message.HeldUsageLimit)
		} else {
			s.references[m.ID] = 1
		}
	}
	return s
}

// start begins an actor and lets it come to its first request.
func (s *scene) start(act func(*actor)) {
	a := &actor{next: make(chan bool), stopped: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(a.done)
		act(a)
	}()
	s.settle(a)
}

// settle waits until an actor stands before a request, or is done.
func (s *scene) settle(a *actor) {
	select {
	case <-a.stopped:
		for _, b := range s.actors {
			if a == b {
				return
			}
		}
		s.actors = append(s.actors, a)
	case <-a.done:
		for i, b := range s.actors {
			if a == b {
				s.actors = append(s.actors[:i], s.actors[i+1:]...)
				return
			}
		}
	}
}

func (s *scene) move(i int, goOn bool) {
	a := s.actors[i]
	a.next <- goOn
	s.settle(a)
}

func (s *scene) reset(a *actor) {
	r := s.w.handler.Reset
	db := turns{a, s.w.usage.DB.(*dynamodb.Client)}
	r.Usage = &usage.Store{DB: db, Table: s.w.usage.Table, Now: s.w.clock.now}
	r.Messages = &message.Store{DB: db, Table: s.w.messages.Table, Retention: time.Hour}
	r.Queue = &queue.Queue{SQS: sender{a, s.w.refs.SQS, s}, URL: r.Queue.URL}
	r.WritesAtOnce = 1
	ctx := context.Background()
	if _, err := r.Account(ctx, ctx, s.account, true); err != nil && !errors.Is(err, errCrashed) {
		s.rt.Errorf("reset: %v", err)
	}
}

// dispatch is a small dispatcher: it keeps the protocol and knows one message.
func (s *scene) dispatch(a *actor, mid id.Message) {
	db := turns{a, s.w.usage.DB.(*dynamodb.Client)}
	d := dispatch{
		scene: s, mid: mid, gates: &usage.Store{DB: db, Table: s.w.usage.Table, Now: s.w.clock.now},
		messages: &message.Store{DB: db, Table: s.w.messages.Table, Retention: time.Hour, Opener: s.w.messages.Opener},
	}
	s.nonce++
	d.nonce = s.nonce
	done, err := d.run(context.Background())
	if err != nil && !errors.Is(err, errCrashed) {
		s.rt.Errorf("dispatch: %v", err)
	}
	if done && s.references[mid] > 0 {
		s.references[mid]--
	}
}

type dispatch struct {
	*scene
	mid      id.Message
	gates    *usage.Store
	messages *message.Store
	nonce    uint32
}

// run says whether the reference is done with.
func (d *dispatch) run(ctx context.Context) (bool, error) {
	terms := func(ctx context.Context, fresh bool) (usage.Terms, error) {
		return d.w.plans.Terms(ctx, d.account, fresh)
	}
	a, err := d.gates.Admit(ctx, d.account, terms, []id.Message{d.mid}, usage.Gate{}, d.nonce, usage.Turn{Waited: true})
	switch {
	case err != nil:
		return false, err
	case len(a.Granted) == 1:
		return d.work(ctx, a.Gate, a.Granted[0], false)
	case len(a.Limited) == 1:
		return d.aside(ctx)
	case len(a.Expired) == 1:
		return d.takeOver(ctx, a)
	}
	return false, nil
}

func (d *dispatch) takeOver(ctx context.Context, a usage.Admission) (bool, error) {
	g, err := d.gates.TakeOver(ctx, d.account, a.Terms, a.Expired[0], a.Gate, d.nonce, true)
	refused := new(usage.Refused)
	if errors.As(err, &refused) && !a.Expired[0].Counts() && refused.Gate.Remaining <= 0 {
		if g, err = d.gates.TakeOver(ctx, d.account, a.Terms, a.Expired[0], refused.Gate, d.nonce, false); err == nil {
			return d.hold(ctx, g, g.Entries[d.mid.Unique], true)
		}
	}
	if errors.As(err, &refused) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return d.work(ctx, g, g.Entries[d.mid.Unique], true)
}

// work reads, hands over to a provider that knows repeats, records and settles.
func (d *dispatch) work(ctx context.Context, g usage.Gate, e usage.Entry, fence bool) (bool, error) {
	m, err := d.messages.Get(ctx, d.account, d.mid)
	if err != nil {
		return false, err
	}
	if fence && !m.Final() {
		w, err := d.messages.Fence(ctx, d.account, d.mid, e.Lease)
		if err != nil || !w.Applied && !w.Message.Final() {
			return false, err
		}
		m = w.Message
	}
	if !m.Final() {
		var w message.Written
		if late := !m.ExpiresAt.IsZero() && !d.w.clock.now().Before(m.ExpiresAt); late && e.Claim == e.Lease {
			w, err = d.messages.End(ctx, d.account, d.mid, e.Lease, message.Ending{Status: message.Expired, At: d.w.clock.now()})
		} else {
			d.taken[d.mid] = true
			w, err = d.messages.Sent(ctx, d.account, d.mid, e.Claim, message.Handover{At: d.w.clock.now()})
		}
		if err != nil || !w.Applied && !w.Message.Final() {
			return false, err
		}
		m = w.Message
	}
	settlement, _ := usage.Standing{Final: true, Claim: m.Claim}.Settlement(e)
	return true, d.gates.Settle(ctx, g, []usage.Settlement{settlement})
}

// aside holds the message: the limit is reached. The gate that answers the claim may tell otherwise.
func (d *dispatch) aside(ctx context.Context) (bool, error) {
	g, err := d.gates.Take(ctx, d.account, []id.Message{d.mid}, d.nonce)
	if refused := new(usage.Refused); errors.As(err, &refused) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return d.hold(ctx, g, g.Entries[d.mid.Unique], false)
}

func (d *dispatch) hold(ctx context.Context, g usage.Gate, e usage.Entry, fence bool) (bool, error) {
	m, err := d.messages.Get(ctx, d.account, d.mid)
	if err != nil {
		return false, err
	}
	if fence && !m.Final() {
		w, err := d.messages.Fence(ctx, d.account, d.mid, e.Lease)
		if err != nil || !w.Applied && !w.Message.Final() {
			return false, err
		}
		m = w.Message
	}
	w, err := d.messages.Hold(ctx, m, e.Lease, d.w.clock.now(), message.HeldUsageLimit, g.Ends)
	if err != nil || !w.Applied && !w.Message.Final() {
		return false, err
	}
	return true, d.gates.Settle(ctx, g, []usage.Settlement{{Entry: e}})
}

// play starts two resets and a dispatcher for each reference, and moves them at will.
func (s *scene) play() {
	s.start(s.reset)
	s.start(s.reset)
	for _, mid := range s.messages {
		if s.references[mid] > 0 {
			s.start(func(a *actor) { s.dispatch(a, mid) })
		}
	}
	advances := 4
	for len(s.actors) > 0 {
		switch what := rapid.IntRange(0, 24).Draw(s.rt, "what"); {
		case what == 0 && advances > 0:
			advances--
			s.w.clock.advance(time.Duration(rapid.SampledFrom([]int{1, 20, 130}).Draw(s.rt, "seconds")) * time.Second)
		case what == 1:
			s.move(rapid.IntRange(0, len(s.actors)-1).Draw(s.rt, "who crashes"), false)
		case what == 2 && len(s.actors) < 8:
			mid := rapid.SampledFrom(s.messages).Draw(s.rt, "who comes")
			if s.references[mid] > 0 {
				s.start(func(a *actor) { s.dispatch(a, mid) })
			}
		default:
			s.move(rapid.IntRange(0, len(s.actors)-1).Draw(s.rt, "who"), true)
		}
	}
}

// converge lets time pass, delivers what is in the queue, and resets when the gate is due, as in production.
func (s *scene) converge() {
	alone := func(act func(*actor)) {
		s.start(act)
		for len(s.actors) > 0 {
			s.move(0, true)
		}
	}
	s.w.clock.set(time.Date(2026, 12, 1, 0, 5, 0, 0, time.UTC))
	for range 12 {
		s.w.clock.advance(2 * time.Minute)
		if due, ok := usage.DueTime(s.w.read(s.account).Due); ok && !due.After(s.w.clock.now()) {
			alone(s.reset)
		}
		for _, mid := range s.messages {
			if s.references[mid] > 0 {
				alone(func(a *actor) { s.dispatch(a, mid) })
			}
		}
	}
}

func (s *scene) verify() {
	g := s.w.read(s.account)
	limit := s.w.plans.terms.Limit
	before, err := s.w.usage.ClosedPeriod(context.Background(), s.account, "2026-11")
	if err != nil || g.Previous != "" || g.Period != "2026-12" || len(g.Entries) != 0 {
		s.rt.Fatalf("the period is not closed (%v) or not settled: %+v", err, g)
	}
	if g.Used > limit || before > limit || g.Used+g.Remaining != limit || g.Used < 0 || before < 0 {
		s.rt.Errorf("counted %d and %d at a limit of %d, %d remain", before, g.Used, limit, g.Remaining)
	}
	var counted int64
	for _, mid := range s.messages {
		m, err := s.w.messages.Get(context.Background(), s.account, mid)
		if err != nil {
			s.rt.Fatal(err)
		}
		if m.Counted() {
			counted++
		}
		switch {
		case m.Counted() != s.taken[mid]:
			s.rt.Errorf("message %s is %s, counted %v, with the provider %v", mid, m.Status(), m.Counted(), s.taken[mid])
		case m.Outcome == message.Queued:
			s.rt.Errorf("message %s is queued, with %d references", mid, s.references[mid])
		case m.Outcome == message.Held && g.Remaining > 0:
			s.rt.Errorf("message %s is held with room for %d, looked at again at %s", mid, g.Remaining, g.Due)
		}
	}
	if counted != g.Used+before {
		s.rt.Errorf("%d messages are counted, the periods say %d and %d", counted, before, g.Used)
	}
}
