package health

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/awsclient"
)

// Items: pk "health#<kind>#<id>", sk "slot#<unix time>": what was counted in these five seconds; sk "state": its state and breaker. They lie in
// the table of the gates, whose keys are account ids, which have no "#".
const (
	attrPK        = "pk"
	attrSK        = "sk"
	attrCalls     = "n"
	attrFailed    = "f"
	attrThrottled = "t"
	attrLatency   = "h" // and a bucket's number
	attrGroup     = "g" // and a group's number: its calls
	attrGroupBad  = "b" // and a group's number: its failures
	attrTTL       = "ttl"

	attrState  = "st"
	attrSince  = "si"
	attrBad    = "ba"
	attrLevel  = "lv"
	attrOpened = "op"
	attrUntil  = "un"
	attrProbe  = "pr"
	attrNonce  = "pn"
	attrClosed = "cl"

	prefix     = "health#"
	slotPrefix = "slot#"
	stateSort  = "state"

	slotsKept = time.Hour
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Store keeps figures and states. Every method is one request to DynamoDB, unless it says otherwise. Reads are eventually consistent unless they say otherwise: what matters is decided by the
// conditions of writes.
type Store struct {
	DB    DynamoDB
	Table string
}

func partition(s Subject) string { return prefix + s.Kind + "#" + s.ID }

func stateKey(s Subject) attr.Item {
	return attr.Item{attrPK: attr.String(partition(s)), attrSK: attr.String(stateSort)}
}

func slotSort(at time.Time) string {
	return fmt.Sprintf("%s%010d", slotPrefix, at.Truncate(SlotLength).Unix())
}

// Add adds what a process counted to the slot of a moment.
func (s *Store) Add(ctx context.Context, of Subject, at time.Time, t Tally) error {
	var u attr.Update
	counted := false
	add := func(name string, n int64) {
		if n > 0 {
			u.Add(name, n)
			counted = true
		}
	}
	add(attrCalls, t.Calls)
	add(attrFailed, t.Failed)
	add(attrThrottled, t.Throttled)
	for i, n := range t.Latency {
		add(attrLatency+strconv.Itoa(i), n)
	}
	for i, g := range t.Groups {
		if of.Kind == KindProvider {
			add(attrGroup+strconv.Itoa(i), g.Calls)
			add(attrGroupBad+strconv.Itoa(i), g.Failed)
		}
	}
	if !counted {
		return nil
	}
	u.Set(attrTTL, attr.Int(at.Add(slotsKept).Unix()))
	if _, err := s.DB.UpdateItem(ctx, u.Input(s.Table, attr.Item{attrPK: attr.String(partition(of)), attrSK: attr.String(slotSort(at))})); err != nil {
		return fmt.Errorf("add to figures of %s: %w", of.Kind, err)
	}
	return nil
}

// Slot is what was counted in a time of SlotLength.
type Slot struct {
	From  time.Time
	Tally Tally
}

// Read gives a subject's slots of the Window before a moment, and its status.
func (s *Store) Read(ctx context.Context, of Subject, now time.Time) ([]Slot, Status, error) {
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, KeyConditionExpression: aws.String("#pk = :pk AND #sk BETWEEN :from AND :state"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(partition(of)), ":from": attr.String(slotSort(now.Add(SlotLength - Window))), ":state": attr.String(stateSort)},
	})
	if err != nil {
		return nil, Status{}, fmt.Errorf("read figures of %s: %w", of.Kind, err)
	}
	var list []Slot
	var st Status
	for _, it := range out.Items {
		if attr.Text(it, attrSK) == stateSort {
			st = decodeStatus(it)
			continue
		}
		from, err := strconv.ParseInt(strings.TrimPrefix(attr.Text(it, attrSK), slotPrefix), 10, 64)
		if err != nil {
			return nil, Status{}, fmt.Errorf("read figures of %s: slot %q", of.Kind, attr.Text(it, attrSK))
		}
		list = append(list, Slot{From: time.Unix(from, 0).UTC(), Tally: decodeTally(it)})
	}
	return list, st, nil
}

// status gives a subject's status as it is now: strongly consistent.
func (s *Store) status(ctx context.Context, of Subject) (Status, error) {
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, KeyConditionExpression: aws.String("#pk = :pk AND #sk = :state"), ConsistentRead: aws.Bool(true),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(partition(of)), ":state": attr.String(stateSort)},
	})
	if err != nil {
		return Status{}, fmt.Errorf("read health of %s: %w", of.Kind, err)
	}
	if len(out.Items) == 0 {
		return decodeStatus(nil), nil
	}
	return decodeStatus(out.Items[0]), nil
}

// Statuses gives the statuses of subjects: one request for each 100. One of which nothing is recorded has the zero Status.
func (s *Store) Statuses(ctx context.Context, of ...Subject) (map[Subject]Status, error) {
	found := make(map[Subject]Status, len(of))
	var ask types.KeysAndAttributes
	for _, sub := range of {
		if _, twice := found[sub]; !twice {
			found[sub] = Status{}
			ask.Keys = append(ask.Keys, stateKey(sub))
		}
	}
	items, err := awsclient.BatchGet(ctx, s.DB, s.Table, ask)
	if err != nil {
		return nil, fmt.Errorf("read health: %w", err)
	}
	for _, it := range items {
		kind, id, _ := strings.Cut(strings.TrimPrefix(attr.Text(it, attrPK), prefix), "#")
		found[Subject{kind, id}] = decodeStatus(it)
	}
	return found, nil
}

// Open opens a closed breaker. Calls is when the first of the calls began that speak for it: a breaker that was closed after that stays
// closed. It gives the status as it is then, and whether it was this write that opened it.
func (s *Store) Open(ctx context.Context, of Subject, calls, now, until time.Time) (Status, bool, error) {
	u := turn(Outage, now, now)
	u.Require(u.Absent(attrLevel), u.AbsentOr(attrClosed, "<=", attr.Time(calls)))
	u.Set(attrLevel, attr.Int(1))
	u.Set(attrOpened, attr.Time(now))
	u.Set(attrUntil, attr.Time(until))
	u.Remove(attrProbe, attrNonce)
	return s.write(ctx, of, u)
}

// Claim takes the lease of an open breaker whose time is over: its holder makes the one call that tries. The nonce is the holder's own.
func (s *Store) Claim(ctx context.Context, of Subject, now time.Time, nonce uint64) (Status, bool, error) {
	u := new(attr.Update)
	u.Require(u.Exists(attrLevel), u.Is(attrUntil, "<=", attr.Time(now)), u.AbsentOr(attrProbe, "<=", attr.Time(now)))
	u.Set(attrProbe, attr.Time(now.Add(Lease)))
	u.Set(attrNonce, nonceOf(nonce))
	return s.write(ctx, of, u)
}

// Close closes a breaker whose lease is held under the nonce. Until nothing was wrong for a while the subject is degraded.
func (s *Store) Close(ctx context.Context, of Subject, now time.Time, nonce uint64) (Status, bool, error) {
	u := turn(Degraded, now, now)
	u.Require(u.Is(attrNonce, "=", nonceOf(nonce)))
	u.Set(attrClosed, attr.Time(now))
	u.Remove(attrLevel, attrOpened, attrUntil, attrProbe, attrNonce)
	return s.write(ctx, of, u)
}

// Reopen keeps a breaker open for longer, whose lease is held under the nonce.
func (s *Store) Reopen(ctx context.Context, of Subject, until time.Time, nonce uint64) (Status, bool, error) {
	u := new(attr.Update)
	u.Require(u.Is(attrNonce, "=", nonceOf(nonce)))
	u.Set(attrUntil, attr.Time(until))
	u.Add(attrLevel, 1)
	u.Remove(attrProbe, attrNonce)
	return s.write(ctx, of, u)
}

// Leave gives a lease back without a call.
func (s *Store) Leave(ctx context.Context, of Subject, nonce uint64) (Status, bool, error) {
	u := new(attr.Update)
	u.Require(u.Is(attrNonce, "=", nonceOf(nonce)))
	u.Remove(attrProbe, attrNonce)
	return s.write(ctx, of, u)
}

// Degrade records that a part of the calls fails, of a subject whose status was read before. Since is when that began.
func (s *Store) Degrade(ctx context.Context, of Subject, was Status, since, now time.Time) (Status, bool, error) {
	u := turn(Degraded, since, now)
	requireClosed(u, was)
	return s.write(ctx, of, u)
}

// Calmed records that a subject is operational again, whose status was read before.
func (s *Store) Calmed(ctx context.Context, of Subject, was Status, since time.Time) (Status, bool, error) {
	u := new(attr.Update)
	requireClosed(u, was)
	u.Set(attrSince, attr.Time(since))
	u.Remove(attrState, attrBad)
	return s.write(ctx, of, u)
}

// turn begins the update to a state that is not operational. Since is when it began, and bad when something was wrong last.
func turn(to State, since, bad time.Time) *attr.Update {
	u := new(attr.Update)
	u.Set(attrState, attr.String(string(to)))
	u.Set(attrSince, attr.Time(since))
	u.Set(attrBad, attr.Time(bad))
	return u
}

// requireClosed: the breaker is closed, and nothing more was wrong since the status was read.
func requireClosed(u *attr.Update, was Status) {
	u.Require(u.Absent(attrLevel))
	if was.Bad.IsZero() {
		u.Require(u.Absent(attrBad))
	} else {
		u.Require(u.Is(attrBad, "=", attr.Time(was.Bad)))
	}
}

// write makes one conditional write of a status. It gives the status as it is then, and whether the write was applied.
func (s *Store) write(ctx context.Context, of Subject, u *attr.Update) (Status, bool, error) {
	it, applied, err := u.Apply(ctx, s.DB, s.Table, stateKey(of))
	if err != nil {
		return Status{}, false, fmt.Errorf("write health of %s: %w", of.Kind, err)
	}
	return decodeStatus(it), applied, nil
}

// A nonce is text: a number of 64 bits loses digits in some engines.
func nonceOf(n uint64) types.AttributeValue { return attr.String(strconv.FormatUint(n, 36)) }

func decodeStatus(it attr.Item) Status {
	st := Status{
		State: Operational, Since: attr.Moment(it, attrSince), Bad: attr.Moment(it, attrBad), Level: int(attr.Number(it, attrLevel)),
		Opened: attr.Moment(it, attrOpened), Until: attr.Moment(it, attrUntil), Probe: attr.Moment(it, attrProbe), Closed: attr.Moment(it, attrClosed),
	}
	if v := attr.Text(it, attrState); v != "" {
		st.State = State(v)
	}
	if n, err := strconv.ParseUint(attr.Text(it, attrNonce), 36, 64); err == nil {
		st.nonce = n
	}
	return st
}

func decodeTally(it attr.Item) Tally {
	t := Tally{Calls: attr.Number(it, attrCalls), Failed: attr.Number(it, attrFailed), Throttled: attr.Number(it, attrThrottled)}
	for i := range t.Latency {
		t.Latency[i] = attr.Number(it, attrLatency+strconv.Itoa(i))
	}
	for i := range t.Groups {
		t.Groups[i] = Group{Calls: attr.Number(it, attrGroup+strconv.Itoa(i)), Failed: attr.Number(it, attrGroupBad+strconv.Itoa(i))}
	}
	return t
}
