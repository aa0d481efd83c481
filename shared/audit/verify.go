package audit

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit/chain"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
)

const (
	// VerifyMost is how many events one call of Verify looks at.
	VerifyMost = 500

	// A query may see one item of a transaction before the other: what seems broken, and is no older than this, is looked at again.
	recent   = 10 * time.Second
	looks    = 3
	lookWait = 100 * time.Millisecond
)

// Verification is what Verify found.
type Verification struct {
	chain.Report
	// Next is the page token for the events that follow; "" when all were looked at, or one is broken.
	Next string
}

// Verify checks the chain of an account's events, or with accountID "" that of the operator's own affairs: that every event is what was written, that
// each follows the one before, and that there is one for every place. It looks at VerifyMost events, oldest first, and at their places:
// two strongly consistent queries, more where events are large. It returns attr.ErrToken for a token of another chain.
func (l *Log) Verify(ctx context.Context, accountID, token string) (Verification, error) {
	p := partition(accountID)
	from, err := startOf(token, p)
	if err != nil {
		return Verification{}, err
	}
	for look := 1; ; look++ {
		w := walk{at: from}
		more, err := l.verify(ctx, p, &w)
		if err != nil {
			return Verification{}, fmt.Errorf("verify audit: %w", err)
		}
		if w.broken == nil {
			w.out.Verified = true
			v := Verification{Report: w.out}
			if more {
				v.Next, err = tokenOf(w.at, p)
			}
			return v, err
		}
		if look == looks || l.Now().Sub(id.TimeOf(id.AuditPrefix, w.broken.ID)) > recent {
			w.out.FirstBroken = w.broken
			return Verification{Report: w.out}, nil
		}
		if err := awsclient.Wait(ctx, lookWait); err != nil {
			return Verification{}, err
		}
	}
}

// verify reads places first and then events, so that an event that is added meanwhile is one more, and not one that misses its place.
func (l *Log) verify(ctx context.Context, partition string, w *walk) (more bool, err error) {
	places, morePlaces, err := l.places(ctx, partition, w.at.Sequence)
	if err != nil {
		return false, err
	}
	events, moreEvents, err := l.read(ctx, partition, w.at.ID)
	if err != nil {
		return false, err
	}
	newest, end := "", w.at
	if len(events) > 0 {
		newest = attr.Text(events[len(events)-1], attrSK)
	}
	if len(places) > 0 {
		end = places[len(places)-1]
	}
	if !morePlaces && newest > end.ID { // it may be one that was added after the places were read
		added, _, err := l.places(ctx, partition, end.Sequence)
		if err != nil {
			return false, err
		}
		places = append(places, upTo(added, newest)...)
	}
	if moreEvents { // what is placed later is looked at with the next page
		places = upTo(places, newest)
	}
	if morePlaces {
		events = before(events, end.ID)
	}
	w.compare(places, events)
	return moreEvents || morePlaces, nil
}

func upTo(places []chain.Link, eventID string) []chain.Link {
	for i, p := range places {
		if p.ID > eventID {
			return places[:i]
		}
	}
	return places
}

func before(events []attr.Item, eventID string) []attr.Item {
	for i, it := range events {
		if attr.Text(it, attrSK) > eventID {
			return events[:i]
		}
	}
	return events
}

// places gives the places of a chain after one, oldest first, and whether there may be more.
func (l *Log) places(ctx context.Context, partition string, after int64) (list []chain.Link, more bool, err error) {
	items, more, err := l.oldest(ctx, chainPrefix+partition, placeKey(after))
	if err != nil {
		return nil, false, err
	}
	for _, it := range items {
		list = append(list, linkOf(it))
	}
	return list, more, nil
}

// read gives the events of a partition after an id, oldest first, as they are stored, and whether there may be more.
func (l *Log) read(ctx context.Context, partition, after string) (list []attr.Item, more bool, err error) {
	if after == "" {
		after = " " // sorts before every id
	}
	return l.oldest(ctx, partition, after)
}

func (l *Log) oldest(ctx context.Context, partition, after string) (list []attr.Item, more bool, err error) {
	start := attr.Item{attrPK: attr.String(partition), attrSK: attr.String(after)}
	for len(list) < VerifyMost { // a query ends early after 1 MB
		out, err := l.DB.Query(ctx, &dynamodb.QueryInput{
			TableName: &l.Table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(VerifyMost - len(list))), ExclusiveStartKey: start,
			KeyConditionExpression: aws.String("#pk = :pk"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
			ExpressionAttributeValues: attr.Item{":pk": attr.String(partition)},
		})
		if err != nil {
			return nil, false, fmt.Errorf("read audit events: %w", err)
		}
		list = append(list, out.Items...)
		if start = out.LastEvaluatedKey; len(start) == 0 {
			return list, false, nil
		}
	}
	return list, true, nil
}

// walk is a check that goes from event to event.
type walk struct {
	at     chain.Link
	out    chain.Report
	broken *chain.Broken
}

// compare goes through events and places, which belong to each other.
func (w *walk) compare(places []chain.Link, events []attr.Item) {
	for _, it := range events {
		eventID := attr.Text(it, attrSK)
		switch older := len(places) == 0 || eventID < places[0].ID; {
		case older && w.at.Sequence == 0 && it[attrSequence] == nil && it[attrHash] == nil:
			w.out.Unchained++
			w.at.ID = eventID
			continue
		case older:
			w.broken = &chain.Broken{ID: eventID, Sequence: attr.Number(it, attrSequence), Why: chain.Unplaced}
		case eventID > places[0].ID:
			w.broken = &chain.Broken{ID: places[0].ID, Sequence: places[0].Sequence, Why: chain.Missing}
		default:
			w.step(places[0], it)
		}
		if w.broken != nil {
			return
		}
		places = places[1:]
	}
	if len(places) > 0 {
		w.broken = &chain.Broken{ID: places[0].ID, Sequence: places[0].Sequence, Why: chain.Missing}
	}
}

// step takes one event that has a place.
func (w *walk) step(place chain.Link, it attr.Item) {
	e, err := decode(it)
	if err == nil && !written(e, it) || err != nil {
		w.broken = &chain.Broken{ID: place.ID, Sequence: place.Sequence, Why: chain.Changed}
		return
	}
	at, broken := chain.Next(w.at, e.Record())
	if broken != nil && broken.ID == place.ID { // not where it says that it is
		broken.Sequence = place.Sequence
	}
	if broken == nil && at != place {
		broken = &chain.Broken{ID: at.ID, Sequence: at.Sequence, Why: chain.Replaced}
	}
	if w.broken = broken; broken == nil {
		w.at = at
		w.out.Count(at)
	}
}

// written reports whether an item is what is written for its event, with nothing added, left out or put otherwise.
func written(e Event, it attr.Item) bool {
	want, err := encode(e)
	if err != nil || len(want) != len(it) {
		return false
	}
	for name, v := range want {
		if !same(v, it[name]) {
			return false
		}
	}
	return true
}

func same(a, b types.AttributeValue) bool {
	switch a := a.(type) {
	case *types.AttributeValueMemberS:
		b, ok := b.(*types.AttributeValueMemberS)
		return ok && a.Value == b.Value
	case *types.AttributeValueMemberB:
		b, ok := b.(*types.AttributeValueMemberB)
		return ok && bytes.Equal(a.Value, b.Value)
	case *types.AttributeValueMemberN:
		b, ok := b.(*types.AttributeValueMemberN)
		return ok && sameNumber(a.Value, b.Value)
	}
	return false
}

// sameNumber compares values: engines write the same number in more than one way.
func sameNumber(a, b string) bool {
	x, err := strconv.ParseFloat(a, 64)
	if err != nil {
		return false
	}
	y, err := strconv.ParseFloat(b, 64)
	return err == nil && x == y
}

// linkOf gives a place; one that was tampered with may have the sequence 0, which no event has.
func linkOf(it attr.Item) chain.Link {
	sequence, _ := strconv.ParseInt(attr.Text(it, attrSK), 10, 64)
	return chain.Link{Sequence: sequence, ID: attr.Text(it, attrEvent), Hash: hexadecimal(it, attrHash)}
}

const (
	tokenSequence = "sequence"
	tokenHash     = "hash"
)

func tokenOf(at chain.Link, partition string) (string, error) {
	hash := at.Hash
	if hash == "" {
		hash = chain.Start
	}
	return attr.Token(attr.Item{
		attrPK: attr.String(partition), attrSK: attr.String(at.ID), tokenSequence: attr.String(placeKey(at.Sequence)), tokenHash: attr.String(hash),
	})
}

func startOf(token, partition string) (chain.Link, error) {
	start, err := attr.Start(token, map[string]string{attrPK: partition}, attrSK, tokenSequence, tokenHash)
	if err != nil || len(start) == 0 {
		return chain.Link{}, err
	}
	sequence, err := strconv.ParseInt(attr.Text(start, tokenSequence), 10, 64)
	if err != nil || sequence < 0 {
		return chain.Link{}, attr.ErrToken
	}
	return chain.Link{Sequence: sequence, ID: attr.Text(start, attrSK), Hash: attr.Text(start, tokenHash)}, nil
}
