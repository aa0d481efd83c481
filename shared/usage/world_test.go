package usage_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"pgregory.net/rapid"

	"contactcenter/shared/content"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/usage"
)

const chn = "chn_0123456789abcdef"

// world is everything that the protocol can meet: a gate, messages, a provider, and workers that may be slow, may
// crash, and may be doubled. Each request to DynamoDB and each call of the provider is a step, and between any two steps
// anything else can happen.
type world struct {
	t       *rapid.T
	clock   *clock
	db      *dynamodb.Client
	gates   usage.Store   // for looking on; workers have their own
	texts   message.Store // likewise
	account string
	// blind: the provider does not recognise a repeated call.
	blind          bool
	plan, lastPlan usage.Terms
	plans          int
	messages       []id.Message
	provider       map[id.Message]*handed
	workers        []*worker
	born           int
	hint           usage.Gate
	// late are update requests that were answered, and whose doubles may still be on their way.
	late []*dynamodb.UpdateItemInput

	// touched are the tables that were written since the last look.
	touched   map[string]bool
	gate      usage.Gate
	states    map[id.Message]message.Message
	highest   int64
	exported  map[string]int64
	takenOver map[id.Message]bool
}

// handed is what a provider knows of a message.
type handed struct {
	calls int
	// taken: it has the message. may: for all that a caller could know, it may have it.
	taken, may bool
}

func newWorld(t *rapid.T, db *dynamodb.Client, gateTable, messageTable string, number int64) *world {
	w := &world{
		t: t, db: db, clock: &clock{now: start.Add(6 * time.Hour)}, account: fmt.Sprintf("acc_%d", number), blind: rapid.Bool().Draw(t, "blind"),
		provider: map[id.Message]*handed{}, exported: map[string]int64{}, takenOver: map[id.Message]bool{}, touched: map[string]bool{gateTable: true, messageTable: true},
	}
	w.gates = usage.Store{DB: db, Table: gateTable, Now: w.clock.Now}
	w.texts = message.Store{DB: db, Table: messageTable, Retention: time.Hour, Sealer: sealtest.Sealer(seal.Content), Opener: sealtest.Opener(seal.Content)}
	w.changePlan(rapid.Int64Range(1, 3).Draw(t, "limit"))
	w.lastPlan = w.plan
	text := content.Content{Type: content.TypeText, Text: "hello"}
	hash := sha256.Sum256([]byte(text.Text))
	for i := range rapid.IntRange(1, 2).Draw(t, "messages") {
		m := message.Message{
			AccountID: w.account, ID: msg(i), Direction: message.Outbound, ChannelID: chn, ProviderID: "p", Address: "1", Content: text,
			ContentSHA256: hex.EncodeToString(hash[:]), OnLimit: message.Reject, Outcome: message.Queued,
		}
		if rapid.Bool().Draw(t, "hold on limit") {
			m.OnLimit = message.Hold
		}
		if err := w.texts.Create(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		w.messages = append(w.messages, m.ID)
		w.provider[m.ID] = &handed{}
	}
	return w
}

func (w *world) changePlan(limit int64) {
	w.lastPlan = w.plan
	w.plans++
	w.plan = usage.Terms{PlanID: "plan", Version: fmt.Sprintf("plan@%d", w.plans), Limit: limit, Kind: usage.Day, InFlight: 20, Blocked: w.plan.Blocked}
}

// restrict makes another set of restrictions hold: the operator blocks the account, limits it, or lifts what there was.
func (w *world) restrict(blocked bool, limit int64) {
	w.lastPlan = w.plan
	w.plans++
	w.plan.Version, w.plan.Limit, w.plan.Blocked = fmt.Sprintf("plan@%d+%d", w.plans, w.plans), limit, blocked
	if !blocked {
		w.plan.Version = fmt.Sprintf("plan@%d", w.plans)
	}
}

// push brings the terms in force to the gate, as the operator's function does.
func (k *worker) push() {
	g, err := k.g.Read(context.Background(), k.account, true)
	for range 6 {
		if err != nil || g.Version == k.plan.Version {
			return
		}
		after, adopted := k.g.AdoptTerms(context.Background(), g, k.plan)
		if refused := new(usage.Refused); errors.As(adopted, &refused) {
			g = refused.Gate
			continue
		}
		g, err = after, adopted
	}
}

// worker is one invocation. It stops before each step until it is told to go on.
type worker struct {
	*world
	name   string
	number int
	next   func() (string, bool)
	stop   func()
	yield  func(string) bool
	// doubled: the answer to the next write is lost, and the SDK sends it again. Dice decides whatever is open.
	doubled bool
	dice    int
	known   usage.Terms
	g       *usage.Store
	m       *message.Store
}

// GoString keeps the record of a failed test readable.
func (k *worker) GoString() string { return k.name }

type crashed struct{}

// spawn starts a worker and lets it come to its first step.
func (w *world) spawn(name string, body func(*worker)) *worker {
	w.born++
	k := &worker{world: w, name: fmt.Sprintf("%s/%d", name, w.born), number: w.born, known: w.plan}
	k.g = &usage.Store{DB: k, Table: w.gates.Table, Now: w.clock.Now}
	k.m = &message.Store{DB: k, Table: w.texts.Table, Retention: time.Hour, Sealer: sealtest.Sealer(seal.Content), Opener: sealtest.Opener(seal.Content)}
	k.next, k.stop = iter.Pull(func(yield func(string) bool) {
		defer func() {
			if r := recover(); r != nil && r != any(crashed{}) {
				panic(r)
			}
		}()
		k.yield = yield
		body(k)
	})
	if _, ok := k.next(); ok {
		w.workers = append(w.workers, k)
	}
	return k
}

// run takes one step of a worker. It reports whether there are more.
func (w *world) run(k *worker, doubled bool, dice int) bool {
	k.doubled, k.dice = doubled, dice
	step, more := k.next()
	w.t.Logf("%s (doubled %v, dice %d) has come to %q", k.name, doubled, dice, step)
	if !more {
		w.remove(k)
	}
	w.observe()
	return more
}

func (w *world) remove(k *worker) {
	rest := w.workers[:0:0]
	for _, x := range w.workers {
		if x != k {
			rest = append(rest, x)
		}
	}
	w.workers = rest
	k.stop()
}

func (k *worker) step(name string) {
	if !k.yield(name) {
		panic(crashed{})
	}
}

// The methods of DynamoDB: each request is a step.

func (k *worker) GetItem(ctx context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	k.step("get")
	return k.db.GetItem(ctx, in)
}

func (k *worker) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	k.step("query")
	return k.db.Query(ctx, in)
}

func (k *worker) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	k.step("get batch")
	return k.db.BatchGetItem(ctx, in)
}

func (k *worker) PutItem(ctx context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	k.step("put")
	k.touched[*in.TableName] = true
	if k.doubled {
		_, _ = k.db.PutItem(ctx, in)
	}
	return k.db.PutItem(ctx, in)
}

func (k *worker) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	k.step("delete")
	return k.db.DeleteItem(ctx, in)
}

func (k *worker) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	k.step("update")
	k.late = append(k.late, in)
	if k.doubled {
		_, _ = k.update(ctx, in)
	}
	return k.update(ctx, in)
}

func (w *world) update(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
	out, err := w.db.UpdateItem(ctx, in)
	if err == nil {
		w.touched[*in.TableName] = true
	}
	return out, err
}

// terms are the worker's own view of the plan until they are read anew.
func (k *worker) terms(_ context.Context, fresh bool) (usage.Terms, error) {
	if fresh {
		k.known = k.plan
	}
	return k.known, nil
}

// nonce is the worker's own.
func (k *worker) nonce() uint32 { return uint32(k.number) }

// call is a call of the provider: one step.
func (k *worker) call(m id.Message) answer {
	k.step("call")
	p := k.provider[m]
	if k.blind && p.may {
		k.t.Fatalf("%s: %s was sent blindly a second time", k.name, m)
	}
	p.calls++
	a := [...]answer{taken, taken, taken, refused, deferred, lostTaken, lostRefused, taken}[k.dice%8]
	if a == refused && p.taken {
		a = taken // it recognises the repeat
	}
	p.taken = p.taken || a == taken || a == lostTaken
	p.may = p.may || a != refused && a != deferred
	return a
}

// answer is what a caller hears of the provider.
type answer int

const (
	taken answer = iota
	refused
	deferred
	lostTaken
	lostRefused
)

// observe compares the state with the one before the last step.
func (w *world) observe() {
	ctx := context.Background()
	if w.touched[w.texts.Table] {
		states, err := w.texts.Standings(ctx, w.account, w.messages)
		if err != nil {
			w.t.Fatal(err)
		}
		for m, now := range states {
			w.compareMessages(m, w.states[m], now)
		}
		w.states = states
	}
	if w.touched[w.gates.Table] {
		g, err := w.gates.Read(ctx, w.account, true)
		if err != nil && !errors.Is(err, usage.ErrNoGate) {
			w.t.Fatal(err)
		}
		w.compareGates(w.gate, g)
		w.gate = g
	}
	if len(w.touched) > 0 {
		w.count()
	}
	clear(w.touched)
}

func (w *world) compareMessages(m id.Message, before, now message.Message) {
	p := w.provider[m]
	if (now.Outcome == message.Canceled || now.Outcome == message.Rejected || now.Outcome == message.Expired) && p.taken {
		w.t.Fatalf("%s is %s, and the provider has it", m, now.Outcome)
	}
	if before.Outcome == "" {
		return
	}
	if before.Outcome != now.Outcome || before.Report != now.Report || before.Claim != now.Claim || before.Fence != now.Fence {
		w.t.Logf("  %s: %s %s, claim %d, fence %d", m.Unique, now.Outcome, now.Report, now.Claim, now.Fence)
	}
	if before.Final() && !now.Final() {
		w.t.Fatalf("%s was %s and is %s", m, before.Outcome, now.Outcome)
	}
	if now.Outcome.Rank() < before.Outcome.Rank() || before.Outcome.Rank() == 5 && now.Outcome != before.Outcome {
		w.t.Fatalf("%s went back from %s to %s", m, before.Outcome, now.Outcome)
	}
	if now.Report.Rank() < before.Report.Rank() && before.Report != "" {
		// The one step back that exists: a provider that had taken the message and then could not deliver it.
		if before.Report != message.Sent || now.Report != message.Failed {
			w.t.Fatalf("the report on %s went back from %s to %s", m, before.Report, now.Report)
		}
	}
	if now.Status().Rank() < before.Status().Rank() && (now.Report != message.Failed || before.Status() != message.Sent) {
		w.t.Fatalf("%s went back from %s to %s", m, before.Status(), now.Status())
	}
	if before.Claim != 0 && now.Claim != before.Claim {
		w.t.Fatalf("%s was counted under claim %d and is under %d", m, before.Claim, now.Claim)
	}
}

func (w *world) compareGates(before, now usage.Gate) {
	w.t.Logf("  gate: %s used %d of %d, before %q %d, entries %+v", now.Period, now.Used, now.Limit, now.Previous, now.PreviousUsed, now.Entries)
	if now.Remaining != now.Limit-now.Used || now.Used < 0 || now.PreviousUsed < 0 {
		w.t.Fatalf("limit %d, used %d, remaining %d, %d used before", now.Limit, now.Used, now.Remaining, now.PreviousUsed)
	}
	if now.Period == before.Period && now.Used > before.Used && now.Used > now.Limit {
		w.t.Fatalf("a unit was taken above the limit: %d of %d", now.Used, now.Limit)
	}
	if before.Blocked && now.Used > before.Used && now.Period == before.Period {
		w.t.Fatalf("a unit was taken while the account was blocked: %d to %d", before.Used, now.Used)
	}
	for unique, e := range now.Entries {
		old, was := before.Entries[unique]
		if before.Blocked && now.Blocked && e.Counts() && (!was || !old.Counts()) {
			w.t.Fatalf("%s was given a unit while the account was blocked", e.Message)
		}
		if was && old == e {
			continue
		}
		if e.Lease <= w.highest {
			w.t.Fatalf("lease %d of %s is not new", e.Lease, e.Message)
		}
		if was && old.Counts() && (e.Claim != old.Claim || !e.Counts()) {
			w.t.Fatalf("the claim of %s changed from %d to %d", e.Message, old.Claim, e.Claim)
		}
		if e.Claim != e.Lease {
			w.takenOver[e.Message] = true
		}
	}
	for _, e := range now.Entries {
		w.highest = max(w.highest, e.Lease)
	}
	if before.Previous != "" && now.Previous != before.Previous {
		n, err := w.gates.ClosedPeriod(context.Background(), w.account, before.Previous)
		if err != nil || n != before.PreviousUsed {
			w.t.Fatalf("period %s counted %d and was exported as %d (%v)", before.Previous, before.PreviousUsed, n, err)
		}
		w.exported[before.Previous] = n
	}
}

// count compares the units that were taken with what they were taken for.
func (w *world) count() {
	units := w.gate.Used + w.gate.PreviousUsed
	for _, n := range w.exported {
		units += n
	}
	want := int64(0)
	for _, e := range w.gate.Entries {
		if e.Counts() {
			want++
		}
	}
	for m, s := range w.states {
		if e, ok := w.gate.Entries[m.Unique]; s.Counted() && (!ok || !e.Counts() || e.Claim != s.Claim) {
			want++
		}
	}
	if units != want {
		w.t.Fatalf("%d units are taken, and there is reason for %d: %+v", units, want, w.gate)
	}
}

// settleDown brings everything to its end: nobody crashes any more, and the provider takes what it is given.
func (w *world) settleDown() {
	for _, k := range w.workers {
		w.remove(k)
	}
	if w.plan.Blocked {
		w.restrict(false, w.plan.Limit)
	}
	for range 4 {
		if w.atRest() {
			break
		}
		w.clock.Move(usage.Lease + 2*time.Second)
		for _, m := range w.messages {
			w.finish("dispatch", func(k *worker) { k.dispatch([]id.Message{m}) })
		}
		w.clock.Move(usage.Lease + 2*time.Second)
		w.finish("sweep", func(k *worker) { k.sweep() })
	}
	if len(w.gate.Entries) > 0 {
		w.t.Fatalf("entries that nobody can settle: %+v", w.gate.Entries)
	}
	for m, s := range w.states {
		p := w.provider[m]
		switch {
		case !s.Final() && s.Outcome != message.Held && w.gate.Remaining > 0:
			w.t.Fatalf("%s can't be dispatched: %+v", m, s)
		case p.taken && !s.Counted():
			w.t.Fatalf("the provider has %s, and it is not counted: %+v", m, s)
		case s.Counted() && !p.may && !w.takenOver[m]:
			w.t.Fatalf("%s is counted, and the provider can't have it: %+v", m, s)
		}
	}
	for period, n := range w.exported {
		if now, err := w.gates.ClosedPeriod(context.Background(), w.account, period); err != nil || now != n {
			w.t.Fatalf("period %s was exported as %d and is %d now (%v)", period, n, now, err)
		}
	}
}

// atRest reports whether nothing is left to be done.
func (w *world) atRest() bool {
	for _, s := range w.states {
		if !s.Final() {
			return false
		}
	}
	return len(w.gate.Entries) == 0
}

func (w *world) finish(name string, body func(*worker)) {
	k := w.spawn(name, body)
	for range 200 {
		if !w.run(k, false, 0) {
			return
		}
	}
	w.t.Fatalf("%s does not come to an end", k.name)
}
