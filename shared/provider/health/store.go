package health

import (
	"context"
	"errors"
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
	names, values := map[string]string{"#" + attrTTL: attrTTL}, attr.Item{":" + attrTTL: attr.Int(at.Add(slotsKept).Unix())}
	var adds []string
	add := func(name string, n int64) {
		if n > 0 {
			names["#"+name], values[":"+name] = name, attr.Int(n)
			adds = append(adds, "#"+name+" :"+name)
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
	if len(adds) == 0 {
		return nil
	}
	_, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: attr.Item{attrPK: attr.String(partition(of)), attrSK: attr.String(slotSort(at))},
		UpdateExpression:         aws.String("SET #" + attrTTL + " = :" + attrTTL + " ADD " + strings.Join(adds, ", ")),
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	})
	if err != nil {
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
	return s.write(ctx, of,
		"SET #lv = :one, #op = :now, #un = :until, #st = :outage, #si = :now, #ba = :now REMOVE #pr, #pn",
		"attribute_not_exists(#lv) AND (attribute_not_exists(#cl) OR #cl <= :calls)",
		attr.Item{":one": attr.Int(1), ":now": attr.Time(now), ":until": attr.Time(until), ":outage": attr.String(string(Outage)), ":calls": attr.Time(calls)})
}

// Claim takes the lease of an open breaker whose time is over: its holder makes the one call that tries. The nonce is the holder's own.
func (s *Store) Claim(ctx context.Context, of Subject, now time.Time, nonce uint64) (Status, bool, error) {
	return s.write(ctx, of, "SET #pr = :lease, #pn = :nonce",
		"attribute_exists(#lv) AND #un <= :now AND (attribute_not_exists(#pr) OR #pr <= :now)",
		attr.Item{":lease": attr.Time(now.Add(Lease)), ":nonce": nonceOf(nonce), ":now": attr.Time(now)})
}

// Close closes a breaker whose lease is held under the nonce. Until nothing was wrong for a while the subject is degraded.
func (s *Store) Close(ctx context.Context, of Subject, now time.Time, nonce uint64) (Status, bool, error) {
	return s.write(ctx, of, "SET #st = :degraded, #si = :now, #ba = :now, #cl = :now REMOVE #lv, #op, #un, #pr, #pn", "#pn = :nonce",
		attr.Item{":degraded": attr.String(string(Degraded)), ":now": attr.Time(now), ":nonce": nonceOf(nonce)})
}

// Reopen keeps a breaker open for longer, whose lease is held under the nonce.
func (s *Store) Reopen(ctx context.Context, of Subject, until time.Time, nonce uint64) (Status, bool, error) {
	return s.write(ctx, of, "SET #un = :until ADD #lv :one REMOVE #pr, #pn", "#pn = :nonce",
		attr.Item{":until": attr.Time(until), ":one": attr.Int(1), ":nonce": nonceOf(nonce)})
}

// Leave gives a lease back without a call.
func (s *Store) Leave(ctx context.Context, of Subject, nonce uint64) (Status, bool, error) {
	return s.write(ctx, of, "REMOVE #pr, #pn", "#pn = :nonce", attr.Item{":nonce": nonceOf(nonce)})
}

// Degrade records that a part of the calls fails, of a subject whose status was read before. Since is when that began.
func (s *Store) Degrade(ctx context.Context, of Subject, was Status, since, now time.Time) (Status, bool, error) {
	condition, values := unchanged(was, attr.Item{":degraded": attr.String(string(Degraded)), ":since": attr.Time(since), ":now": attr.Time(now)})
	return s.write(ctx, of, "SET #st = :degraded, #si = :since, #ba = :now", "attribute_not_exists(#lv) AND "+condition, values)
}

// Calmed records that a subject is operational again, whose status was read before.
func (s *Store) Calmed(ctx context.Context, of Subject, was Status, since time.Time) (Status, bool, error) {
	condition, values := unchanged(was, attr.Item{":since": attr.Time(since)})
	return s.write(ctx, of, "SET #si = :since REMOVE #st, #ba", "attribute_not_exists(#lv) AND "+condition, values)
}

func unchanged(was Status, values attr.Item) (string, attr.Item) {
	if was.Bad.IsZero() {
		return "attribute_not_exists(#ba)", values
	}
	values[":was"] = attr.Time(was.Bad)
	return "#ba = :was", values
}

// write makes one conditional write of a status. It gives the status as it is then, and whether the write was applied.
func (s *Store) write(ctx context.Context, of Subject, update, condition string, values attr.Item) (Status, bool, error) {
	names := map[string]string{}
	for _, name := range []string{attrState, attrSince, attrBad, attrLevel, attrOpened, attrUntil, attrProbe, attrNonce, attrClosed} {
		if strings.Contains(update+condition, "#"+name) {
			names["#"+name] = name
		}
	}
	out, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: stateKey(of), UpdateExpression: &update, ConditionExpression: &condition, ExpressionAttributeNames: names,
		ExpressionAttributeValues: values, ReturnValues: types.ReturnValueAllNew, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	refused := new(types.ConditionalCheckFailedException)
	switch {
	case errors.As(err, &refused):
		return decodeStatus(refused.Item), false, nil
	case err != nil:
		return Status{}, false, fmt.Errorf("write health of %s: %w", of.Kind, err)
	}
	return decodeStatus(out.Attributes), true, nil
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
