package usage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Store keeps the gates. Every method is one request to DynamoDB unless it says so.
type Store struct {
	DB    DynamoDB
	Table string
	Now   func() time.Time
}

// ErrNoGate: the account has not sent anything yet.
var ErrNoGate = errors.New("account has no gate yet")

// Refused says that a conditional write found the gate in another state, and brings the gate as it was then.
type Refused struct{ Gate Gate }

func (*Refused) Error() string { return "the gate's condition was not met" }

// Read gives an account's gate. It returns ErrNoGate when there is none.
func (s *Store) Read(ctx context.Context, accountID string, consistent bool) (Gate, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: gateKey(accountID), ConsistentRead: &consistent})
	if err != nil {
		return Gate{}, fmt.Errorf("read gate: %w", err)
	}
	return s.Found(out.Item)
}

// At is where an account's gate lies, for who reads it together with other items; Found is what was found there.
func (s *Store) At(accountID string) awsclient.Key {
	return awsclient.Key{Table: s.Table, Item: gateKey(accountID)}
}

// Found reads a gate, or returns ErrNoGate for an item that is not there.
func (s *Store) Found(it map[string]types.AttributeValue) (Gate, error) {
	if len(it) == 0 {
		return Gate{}, ErrNoGate
	}
	return decodeGate(it)
}

// Create makes an account's gate, with nothing used. It does nothing when there is one.
func (s *Store) Create(ctx context.Context, accountID string, terms Terms) error {
	period := terms.Kind.Period(s.Now())
	_, end, err := bounds(period)
	if err != nil {
		return err
	}
	it := item{
		attrPK: str(accountID), attrSK: str(gateSort), attrPeriod: str(period), attrPlan: str(terms.PlanID), attrVersion: str(terms.Version),
		attrLimit: num(terms.Limit), attrUsed: num(0), attrRemaining: num(terms.Limit), attrSeq: num(0), attrTAT: num(0), attrLine: num(0),
		attrLeases: &types.AttributeValueMemberM{Value: item{}}, attrEntries: &types.AttributeValueMemberM{Value: item{}},
		attrShard: str(Shard(accountID)), attrDue: str(dueText(terms.before(end))),
	}
	if terms.Blocked {
		it[attrBlocked] = num(1)
	}
	_, err = s.DB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.Table, Item: it,
		ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	})
	if refused := new(types.ConditionalCheckFailedException); err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("create gate: %w", err)
	}
	return nil
}

// Claim says what a reservation asks for.
type Claim struct {
	Messages []id.Message
	// Nonce is random, one for each request.
	Nonce uint32
	// Gate is the gate as the caller knows it: its period, and whether its rate is at work or idle.
	Gate Gate
	// Waited lets the messages pass those that stand in the line.
	Waited bool
}

// Reserve takes one unit for each message and claims them all, in one write, or does nothing and returns *Refused:
// when the account is blocked, when period, terms or rate state are not as the caller knew them, when the number or the
// frequency leaves no room for all, when the ledger is full, or when one of the messages is in it. It is refused without
// a request when the period that the caller knew is over. It returns ErrNoGate when there is no gate. One write takes
// MostAtOnce messages at most, and no more than the rate's burst.
func (s *Store) Reserve(ctx context.Context, accountID string, terms Terms, c Claim) (Gate, error) {
	now := s.Now()
	n := int64(len(c.Messages))
	if terms.Rate.Limit > 0 && n > terms.Rate.Burst {
		return Gate{}, fmt.Errorf("reserve usage: %d messages at once are more than the burst of %d", n, terms.Rate.Burst)
	}
	if over(c.Gate.Period, now) {
		return Gate{}, &Refused{Gate: c.Gate}
	}
	w := newWrite()
	w.take(terms, c.Gate, n)
	w.rate(terms.Rate, c.Gate, now, n, c.Waited)
	if err := w.claim(c.Messages, c.Nonce, now, mark(c.Gate.Period), terms.InFlight); err != nil {
		return Gate{}, err
	}
	return s.update(ctx, accountID, w)
}

// over reports whether a period has ended.
func over(period string, now time.Time) bool {
	_, end, err := bounds(period)
	return err == nil && !now.Before(end)
}

// Take claims messages without a unit, to end them or to set them aside. It is refused when one of them is in the
// ledger, unless this very request put it there. One write takes MostAtOnce messages at most.
func (s *Store) Take(ctx context.Context, accountID string, messages []id.Message, nonce uint32) (Gate, error) {
	w := newWrite()
	if err := w.claim(messages, nonce, s.Now(), 0, 0); err != nil {
		return Gate{}, err
	}
	g, err := s.update(ctx, accountID, w)
	if refused := new(Refused); errors.As(err, &refused) && refused.Gate.took(messages, nonce) {
		return refused.Gate, nil
	}
	return g, err
}

// took reports whether a claim without a unit was made after all: the answer to a first try was lost, and the SDK
// asked again.
func (g Gate) took(messages []id.Message, nonce uint32) bool {
	for _, m := range messages {
		if e, ok := g.Entries[m.Unique]; !ok || e.Message != m || e.Nonce != nonce || e.Counts() {
			return false
		}
	}
	return true
}

// TakeOver gives an entry whose lease has run out to a new holder. An entry that counts nothing is taken with a unit
// when counts is set, under the conditions of Reserve; the claim is then a new one. The entry must be as the caller saw it.
func (s *Store) TakeOver(ctx context.Context, accountID string, terms Terms, e Entry, g Gate, nonce uint32, counts bool) (Gate, error) {
	now := s.Now()
	if now.Before(e.Expires) {
		return Gate{}, fmt.Errorf("take over message %s: its lease still runs", e.Message)
	}
	w := newWrite()
	next := Entry{Message: e.Message, Nonce: nonce, Expires: expiry(now), period: e.period}
	switch {
	case e.Counts():
		next.Claim = e.Claim
	case counts && over(g.Period, now):
		return Gate{}, &Refused{Gate: g}
	case counts:
		next.period = mark(g.Period)
		w.take(terms, g, 1)
		w.rate(terms.Rate, g, now, 1, true)
	}
	packed, err := pack(next)
	if err != nil {
		return Gate{}, err
	}
	lease, entry := w.ledger(e.Message)
	w.sets = append(w.sets,
		fmt.Sprintf("%s = %s + %s", lease, w.name(attrSeq), w.value("k0", num(1))),
		fmt.Sprintf("%s = %s", entry, w.value("e0", packed)))
	w.conditions = append(w.conditions, fmt.Sprintf("%s = %s", lease, w.value("old", num(e.Lease))))
	w.advance(1)
	after, err := s.update(ctx, accountID, w)
	if refused := new(Refused); errors.As(err, &refused) {
		// The answer to a first try may have been lost; then the entry is under this request's nonce by now.
		if now, ok := refused.Gate.Entries[e.Message.Unique]; ok && now.Lease > e.Lease && now.Nonce == nonce && now.period == next.period {
			return refused.Gate, nil
		}
	}
	return after, err
}

// Settlement ends one entry.
type Settlement struct {
	Entry Entry
	// GiveBack returns the unit: the message is not counted under the entry's claim.
	GiveBack bool
}

const settleTries = 6

// MostAtOnce is how many messages one write can claim or settle: expressions are limited to 4 KB and 300 operators.
const MostAtOnce = 50

// Settle removes entries from the ledger, in one write for MostAtOnce of them as long as nobody else holds one by now;
// those that are somebody else's are left alone. The gate is the caller's last view of it.
func (s *Store) Settle(ctx context.Context, g Gate, list []Settlement) error {
	for part := range slices.Chunk(distinct(list), MostAtOnce) {
		if err := s.settleAll(ctx, g, part); err != nil {
			return err
		}
	}
	return nil
}

// settleAll settles what one write can hold.
func (s *Store) settleAll(ctx context.Context, g Gate, list []Settlement) error {
	for range settleTries {
		if len(list) == 0 {
			return nil
		}
		_, err := s.settle(ctx, g, list)
		refused := new(Refused)
		if !errors.As(err, &refused) {
			return err
		}
		g = refused.Gate
		mine := list[:0:0]
		for _, st := range list {
			if e, ok := g.Entries[st.Entry.Message.Unique]; ok && e.Lease == st.Entry.Lease {
				mine = append(mine, st)
			}
		}
		list = mine
	}
	return fmt.Errorf("settle usage: the gate of %s changed %d times meanwhile", g.AccountID, settleTries)
}

// distinct leaves one settlement of each message: DynamoDB refuses an expression that names a path twice.
func distinct(list []Settlement) []Settlement {
	seen := make(map[string]bool, len(list))
	rest := list[:0:0]
	for _, st := range list {
		if !seen[st.Entry.Message.Unique] {
			seen[st.Entry.Message.Unique] = true
			rest = append(rest, st)
		}
	}
	return rest
}

// settle is one conditional write.
func (s *Store) settle(ctx context.Context, g Gate, list []Settlement) (Gate, error) {
	w := newWrite()
	var back, backPrevious int64
	giveBack := false
	for i, st := range list {
		lease, entry := w.ledger(st.Entry.Message)
		w.removes = append(w.removes, lease, entry)
		w.conditions = append(w.conditions, fmt.Sprintf("%s = %s", lease, w.value(fmt.Sprintf("l%d", i), num(st.Entry.Lease))))
		giveBack = giveBack || st.GiveBack && st.Entry.Counts()
		switch {
		case !st.GiveBack || !st.Entry.Counts():
		case st.Entry.period == mark(g.Period):
			back++
		case st.Entry.period == mark(g.Previous) && g.Previous != "":
			backPrevious++
		}
	}
	if giveBack { // also with an entry of neither period: then the view of the gate is old, and is refused here
		w.conditions = append(w.conditions, fmt.Sprintf("%s = %s", w.name(attrPeriod), w.value("p", str(g.Period))))
	}
	if back > 0 {
		w.sets = append(w.sets,
			fmt.Sprintf("%s = %s - %s", w.name(attrUsed), w.name(attrUsed), w.value("b", num(back))),
			fmt.Sprintf("%s = %s + :b", w.name(attrRemaining), w.name(attrRemaining)))
	}
	if backPrevious > 0 {
		w.sets = append(w.sets, fmt.Sprintf("%s = %s - %s", w.name(attrPrevUsed), w.name(attrPrevUsed), w.value("bp", num(backPrevious))))
		w.conditions = append(w.conditions, fmt.Sprintf("attribute_exists(%s)", w.name(attrPrev)))
	}
	return s.update(ctx, g.AccountID, w)
}

const bringTries = 6

// Bring makes terms hold for an account's gate. An account that sent nothing yet has none; one that is restricted gets it
// now, so that its restrictions hold at once. Two requests, more when the gate changes meanwhile.
func (s *Store) Bring(ctx context.Context, accountID string, terms Terms) error {
	gate, err := s.Read(ctx, accountID, true)
	for range bringTries {
		if errors.Is(err, ErrNoGate) && terms.Restricted() {
			if err := s.Create(ctx, accountID, terms); err != nil {
				return err
			}
			gate, err = s.Read(ctx, accountID, true)
			continue
		}
		if errors.Is(err, ErrNoGate) || err == nil && gate.Version == terms.Version {
			return nil
		}
		if err != nil {
			return err
		}
		after, adoptErr := s.AdoptTerms(ctx, gate, terms)
		refused := new(Refused)
		if errors.As(adoptErr, &refused) {
			gate = refused.Gate
			continue
		}
		gate, err = after, adoptErr
	}
	return fmt.Errorf("bring terms to a gate: it changed %d times meanwhile", bringTries)
}

// AdoptTerms makes other terms hold for a gate; what was used stays used. It is refused when the gate's terms are no
// longer those that the caller saw.
func (s *Store) AdoptTerms(ctx context.Context, g Gate, terms Terms) (Gate, error) {
	w := newWrite()
	w.terms(terms)
	w.sets = append(w.sets, fmt.Sprintf("%s = %s + %s", w.name(attrRemaining), w.name(attrRemaining), w.value("delta", num(terms.Limit-g.Limit))))
	before := restrictions(g.Version)
	due, known := DueTime(g.Due)
	switch {
	case terms.Limit > g.Limit, before != "" && before != restrictions(terms.Version):
		w.set(attrDue, str(dueText(s.Now()))) // there is room for held messages now, or may be
	case known && terms.before(due).Before(due):
		w.set(attrDue, str(dueText(terms.Changes))) // a restriction ends then
	}
	w.conditions = append(w.conditions,
		fmt.Sprintf("%s = %s", w.name(attrVersion), w.value("seen", str(g.Version))),
		fmt.Sprintf("%s = %s", w.name(attrLimit), w.value("seenlimit", num(g.Limit))))
	return s.update(ctx, g.AccountID, w)
}

// ErrPreviousOpen: the period before is not exported yet, so the present one can't be closed.
var ErrPreviousOpen = errors.New("the previous period is still open")

// Roll closes the gate's period and opens the one that now lies in; it does nothing when that is the same. It is refused
// when somebody else did.
func (s *Store) Roll(ctx context.Context, g Gate, terms Terms) (Gate, error) {
	if g.Previous != "" {
		return g, ErrPreviousOpen
	}
	now := s.Now()
	period := terms.Kind.Period(now)
	if period == g.Period {
		return g, nil
	}
	w := newWrite()
	w.sets = append(w.sets, fmt.Sprintf("%s = %s", w.name(attrPrevUsed), w.name(attrUsed)))
	w.moveReached(g.Reached)
	w.set(attrPrev, str(g.Period))
	w.set(attrPeriod, str(period))
	w.terms(terms)
	w.set(attrRemaining, num(terms.Limit))
	w.sets = append(w.sets, fmt.Sprintf("%s = %s", w.name(attrUsed), w.value("none", num(0))))
	w.set(attrDue, str(dueText(now))) // the closed period is to be exported, and held messages have room
	w.conditions = append(w.conditions,
		fmt.Sprintf("%s = %s", w.name(attrPeriod), w.value("seen", str(g.Period))),
		fmt.Sprintf("attribute_not_exists(%s)", w.name(attrPrev)))
	return s.update(ctx, g.AccountID, w)
}

// OpenEntries are the entries of the closed period that stand between it and its export.
func (g Gate) OpenEntries() []Entry {
	var list []Entry
	for _, e := range g.Entries {
		if g.Previous != "" && e.period == mark(g.Previous) {
			list = append(list, e)
		}
	}
	return list
}

// Export writes the closed period's count to an item of its own and frees its place on the gate: two requests. It
// returns ErrPreviousOpen while entries of that period are unsettled.
func (s *Store) Export(ctx context.Context, g Gate) (Gate, error) {
	if g.Entries == nil { // a view without its ledger can't tell whether the count is final
		full, err := s.Read(ctx, g.AccountID, true)
		if err != nil {
			return g, err
		}
		g = full
	}
	if g.Previous == "" {
		return g, nil
	}
	if len(g.OpenEntries()) > 0 {
		return g, ErrPreviousOpen
	}
	it := item{
		attrPK: str(g.AccountID), attrSK: str(periodPrefix + g.Previous), attrUsed: num(g.PreviousUsed), "closed_at": str(dueText(s.Now())),
	}
	if at := g.PreviousReached.Near; !at.IsZero() {
		it[attrNear] = num(at.UnixMilli())
	}
	if at := g.PreviousReached.Full; !at.IsZero() {
		it[attrFull] = num(at.UnixMilli())
	}
	_, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: it})
	if err != nil {
		return g, fmt.Errorf("export period %s: %w", g.Previous, err)
	}
	w := newWrite()
	w.removes = append(w.removes, w.name(attrPrev), w.name(attrPrevUsed), w.name(attrPrevNear), w.name(attrPrevFull))
	w.conditions = append(w.conditions,
		fmt.Sprintf("%s = %s", w.name(attrPrev), w.value("seen", str(g.Previous))),
		fmt.Sprintf("%s = %s", w.name(attrPrevUsed), w.value("count", num(g.PreviousUsed))))
	return s.update(ctx, g.AccountID, w)
}

// ClosedPeriod gives what an exported period counted, or ErrNoGate when it was not exported.
func (s *Store) ClosedPeriod(ctx context.Context, accountID, period string) (int64, error) {
	used, _, err := s.closed(ctx, accountID, period)
	return used, err
}

// ClosedReached gives which thresholds an exported period reached, or ErrNoGate when it was not exported.
func (s *Store) ClosedReached(ctx context.Context, accountID, period string) (Reached, error) {
	_, at, err := s.closed(ctx, accountID, period)
	return at, err
}

func (s *Store) closed(ctx context.Context, accountID, period string) (int64, Reached, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: item{attrPK: str(accountID), attrSK: str(periodPrefix + period)}, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return 0, Reached{}, fmt.Errorf("read closed period: %w", err)
	}
	if len(out.Item) == 0 {
		return 0, Reached{}, ErrNoGate
	}
	return number(out.Item[attrUsed]), reached(out.Item, attrNear, attrFull), nil
}

// Cross notes on the gate that it crossed a threshold: each once in a period, whoever comes first. It reports which of
// them this call noted. It costs a request only when the gate, as the caller saw it, stands above one that is not noted.
func (s *Store) Cross(ctx context.Context, g Gate) (near, full bool, err error) {
	wantNear, wantFull := g.Crossed()
	note := func(want bool, attr string, over Gate) (bool, error) {
		if !want {
			return false, nil
		}
		w := newWrite()
		w.set(attr, num(s.Now().UnixMilli()))
		w.conditions = append(w.conditions,
			fmt.Sprintf("%s = %s", w.name(attrPeriod), w.value("p", str(over.Period))), fmt.Sprintf("attribute_not_exists(%s)", w.name(attr)))
		_, err := s.update(ctx, over.AccountID, w)
		if refused := new(Refused); errors.As(err, &refused) {
			return false, nil // somebody else noted it, or the period is over
		}
		return err == nil, err
	}
	near, err = note(wantNear, attrNear, g)
	if err == nil {
		full, err = note(wantFull, attrFull, g)
	}
	return near, full, err
}

// Due lists up to limit accounts of a shard for which the scheduled reset has something to do by now, longest due
// first, beginning after the place where the page before ended ("": at the first). Next is "" on the last page. The
// index follows the gates within moments.
func (s *Store) Due(ctx context.Context, shard string, limit int32, after string) (accounts []string, next string, err error) {
	in := &dynamodb.QueryInput{
		TableName: &s.Table, IndexName: aws.String(DueIndex), Limit: &limit, KeyConditionExpression: aws.String("#sh = :sh AND #due <= :now"),
		ExpressionAttributeNames: map[string]string{"#sh": attrShard, "#due": attrDue}, ExpressionAttributeValues: item{":sh": str(shard), ":now": str(dueText(s.Now()))},
	}
	if due, account, ok := strings.Cut(after, " "); ok {
		in.ExclusiveStartKey = item{attrPK: str(account), attrSK: str(gateSort), attrShard: str(shard), attrDue: str(due)}
	}
	out, err := s.DB.Query(ctx, in)
	if err != nil {
		return nil, "", fmt.Errorf("query due accounts: %w", err)
	}
	accounts = make([]string, len(out.Items))
	for i, it := range out.Items {
		accounts[i] = text(it, attrPK)
	}
	if k := out.LastEvaluatedKey; len(k) > 0 {
		next = text(k, attrDue) + " " + text(k, attrPK)
	}
	return accounts, next, nil
}

// Postpone says when the scheduled reset is to look at the gate again. It does nothing when somebody else said so, or
// made the gate due, since the caller saw it.
func (s *Store) Postpone(ctx context.Context, g Gate, to time.Time) error {
	w := newWrite()
	w.set(attrDue, str(dueText(to)))
	w.conditions = append(w.conditions,
		fmt.Sprintf("%s = %s", w.name(attrDue), w.value("seen", str(g.Due))),
		fmt.Sprintf("%s = %s", w.name(attrPeriod), w.value("p", str(g.Period))))
	_, err := s.update(ctx, g.AccountID, w)
	if refused := new(Refused); errors.As(err, &refused) {
		return nil
	}
	return err
}

// Wake makes the scheduled reset look at an account's gate as soon as it runs. It does nothing when there is no gate.
func (s *Store) Wake(ctx context.Context, accountID string) error {
	w := newWrite()
	w.set(attrDue, str(dueText(s.Now())))
	_, err := s.update(ctx, accountID, w)
	if errors.Is(err, ErrNoGate) {
		return nil
	}
	return err
}

// Queue gives n messages a place in the line that waits for the account's rate, and says when the first may go; the
// others follow at the rate's interval. The line only orders the waiting: whoever comes back still reserves.
func (s *Store) Queue(ctx context.Context, g Gate, rate Rate, n int64) (time.Time, error) {
	now := s.Now()
	return s.line(ctx, g, now.Add(g.Wait(now, rate, 1)), time.Duration(n)*rate.interval())
}

// Place gives n messages a place in the same line for what bounds them more than the rate does: their account's places in the ledger, of which
// one is free after each step. Nobody gets a place later than most from now, for a step is a guess: when the line is longer, it stays as
// it is, without a request.
func (s *Store) Place(ctx context.Context, g Gate, step time.Duration, n int64, most time.Duration) (time.Time, error) {
	now := s.Now()
	if latest := now.Add(most); !g.Line.Before(latest) {
		return latest, nil
	}
	return s.line(ctx, g, now, time.Duration(n)*step)
}

// line puts something of a length at the end of the line, which begins at start at the earliest, and says where it was put.
func (s *Store) line(ctx context.Context, g Gate, start time.Time, length time.Duration) (time.Time, error) {
	span := length.Microseconds()
	for range settleTries {
		w := newWrite()
		line := w.name(attrLine)
		if g.Line.After(start) {
			w.sets = append(w.sets, fmt.Sprintf("%s = %s + %s", line, line, w.value("span", num(span))))
			w.conditions = append(w.conditions, fmt.Sprintf("%s > %s", line, w.value("start", num(start.UnixMicro()))))
		} else {
			w.set(attrLine, num(start.UnixMicro()+span))
			w.conditions = append(w.conditions, fmt.Sprintf("%s <= %s", line, w.value("start", num(start.UnixMicro()))))
		}
		after, err := s.update(ctx, g.AccountID, w)
		refused := new(Refused)
		switch {
		case errors.As(err, &refused):
			g = refused.Gate
		case err != nil:
			return time.Time{}, err
		default:
			return after.Line.Add(-time.Duration(span) * time.Microsecond), nil
		}
	}
	return start, nil // the line moves fast; coming back early costs a refused write and nothing else
}

// update applies one conditional write to a gate.
func (s *Store) update(ctx context.Context, accountID string, w *write) (Gate, error) {
	out, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: gateKey(accountID),
		UpdateExpression: aws.String(w.expression()), ConditionExpression: aws.String(strings.Join(w.conditions, " AND ")),
		ExpressionAttributeNames: w.names, ExpressionAttributeValues: w.values,
		ReturnValues: types.ReturnValueAllNew, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	refused := new(types.ConditionalCheckFailedException)
	if errors.As(err, &refused) {
		if len(refused.Item) == 0 {
			return Gate{}, ErrNoGate
		}
		g, err := decodeGate(refused.Item)
		if err != nil {
			return Gate{}, err
		}
		return Gate{}, &Refused{Gate: g}
	}
	if err != nil {
		return Gate{}, fmt.Errorf("update gate: %w", err)
	}
	return decodeGate(out.Attributes)
}
