package availability

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
)

// Items: pk "uptime#platform", sk "state": the first beat and the last; sk "gap#<unix milliseconds>": a time in which there was none. They lie in
// the table of the gates, whose keys are account ids, which have no "#".
const (
	attrPK      = "pk"
	attrSK      = "sk"
	attrFirst   = "fi"
	attrLast    = "la"
	attrFailing = "ba"
	attrGap     = "ga" // milliseconds
	attrUntil   = "un"
	attrReason  = "re"
	attrTTL     = "ttl"

	platform  = "uptime#platform"
	stateSort = "state"
	gapPrefix = "gap#"

	// kept is how long a gap is kept: fourteen months.
	kept = 430 * 24 * time.Hour
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Beats keeps when the platform was last seen to work. A beat is a run of the schedule that found all that it needs. It is safe for
// concurrent use.
type Beats struct {
	DB    DynamoDB
	Table string
}

// Reason is why the platform was not seen to work.
type Reason string

// The reasons.
const (
	// Failing: a run of the schedule found that tables or queues did not answer.
	Failing Reason = "failing"
	// Silent: there was no run that could say so.
	Silent Reason = "silent"
)

// Pulse is what is known of the beats. Of the zero Pulse there was none.
type Pulse struct {
	First, Last time.Time
	// Failing is when a run of the schedule first found that something failed, after the last beat; zero: none did.
	Failing time.Time
	// Gap is how long after a beat the next may come.
	Gap time.Duration
}

// interrupted gives why there is a gap at a moment since the last beat, "" where there is none.
func (p Pulse) interrupted(now time.Time) Reason {
	switch {
	case p.Last.IsZero():
		return ""
	case !p.Failing.IsZero():
		return Failing
	case now.Sub(p.Last) > p.Gap:
		return Silent
	}
	return ""
}

// Gap is a time from a beat to the next in which the platform was not seen to work.
type Gap struct {
	From, Until time.Time
	Reason      Reason
}

func key(sort string) attr.Item {
	return attr.Item{attrPK: attr.String(platform), attrSK: attr.String(sort)}
}

func gapSort(at time.Time) string { return fmt.Sprintf("%s%013d", gapPrefix, at.UnixMilli()) }

// Good notes a beat; every is how often one is expected. One write; after a gap, two more.
func (b *Beats) Good(ctx context.Context, now time.Time, every time.Duration) error {
	gap := every*2 + every/2
	p, refused, err := b.write(ctx, "SET #la = :now, #fi = if_not_exists(#fi, :now), #ga = :gap",
		"attribute_not_exists(#la) OR #la >= :since AND attribute_not_exists(#ba)",
		attr.Item{":now": attr.Time(now), ":since": attr.Time(now.Add(-gap)), ":gap": attr.Int(gap.Milliseconds())})
	if err != nil || !refused {
		return err
	}
	reason := Silent
	if !p.Failing.IsZero() {
		reason = Failing
	}
	if err := b.close(ctx, Gap{From: p.Last, Until: now, Reason: reason}); err != nil {
		return err
	}
	// Where another was faster, the beat is his.
	_, _, err = b.write(ctx, "SET #la = :now, #ga = :gap REMOVE #ba", "#la = :last", attr.Item{":now": attr.Time(now), ":last": attr.Time(p.Last), ":gap": attr.Int(gap.Milliseconds())})
	return err
}

// Failed notes that a run of the schedule found that something failed. One write. Before the first beat there is nothing to note.
func (b *Beats) Failed(ctx context.Context, now time.Time) error {
	_, _, err := b.write(ctx, "SET #ba = if_not_exists(#ba, :now)", "attribute_exists(#la)", attr.Item{":now": attr.Time(now)})
	return err
}

// close writes a gap. One that was written already by a run that died afterwards becomes longer.
func (b *Beats) close(ctx context.Context, g Gap) error {
	it := key(gapSort(g.From))
	it[attrUntil], it[attrReason], it[attrTTL] = attr.Time(g.Until), attr.String(string(g.Reason)), attr.Int(g.Until.Add(kept).Unix())
	if _, err := b.DB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &b.Table, Item: it}); err != nil {
		return fmt.Errorf("note gap of the platform: %w", err)
	}
	return nil
}

// write makes a conditional write of the state. Where it is refused it gives what is there.
func (b *Beats) write(ctx context.Context, update, condition string, values attr.Item) (was Pulse, refused bool, err error) {
	names := map[string]string{}
	for _, name := range []string{attrFirst, attrLast, attrFailing, attrGap} {
		if strings.Contains(update+condition, "#"+name) {
			names["#"+name] = name
		}
	}
	_, err = b.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &b.Table, Key: key(stateSort), UpdateExpression: &update, ConditionExpression: &condition,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if no := new(types.ConditionalCheckFailedException); errors.As(err, &no) {
		return decodePulse(no.Item), true, nil
	}
	if err != nil {
		return Pulse{}, false, fmt.Errorf("note beat of the platform: %w", err)
	}
	return Pulse{}, false, nil
}

// Pulse gives what is known of the beats. One request.
func (b *Beats) Pulse(ctx context.Context) (Pulse, error) {
	out, err := b.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &b.Table, Key: key(stateSort), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Pulse{}, fmt.Errorf("read beats of the platform: %w", err)
	}
	return decodePulse(out.Item), nil
}

// Gaps gives the gaps that lie at least partly between two moments, oldest first, at most so many; cut says that there are more. Two
// requests, more where there are very many gaps.
func (b *Beats) Gaps(ctx context.Context, from, to time.Time, most int) (list []Gap, cut bool, err error) {
	// Gaps don't overlap: of those that began before, only the last may reach into the time.
	before, _, err := b.gaps(ctx, time.UnixMilli(0), from, false, 1)
	if err != nil {
		return nil, false, err
	}
	for _, g := range before {
		if g.Until.After(from) {
			list = append(list, g)
		}
	}
	within, cut, err := b.gaps(ctx, from, to, true, most)
	return append(list, within...), cut, err
}

// gaps gives gaps that began from a moment on and before another.
func (b *Beats) gaps(ctx context.Context, from, to time.Time, forward bool, most int) (list []Gap, more bool, err error) {
	in := &dynamodb.QueryInput{
		TableName: &b.Table, KeyConditionExpression: aws.String("#pk = :pk AND #sk BETWEEN :from AND :to"), ScanIndexForward: &forward, Limit: aws.Int32(int32(most)),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(platform), ":from": attr.String(gapSort(from)), ":to": attr.String(gapSort(to.Add(-time.Millisecond)))},
	}
	for {
		out, err := b.DB.Query(ctx, in)
		if err != nil {
			return nil, false, fmt.Errorf("read gaps of the platform: %w", err)
		}
		for _, it := range out.Items {
			ms, err := strconv.ParseInt(strings.TrimPrefix(attr.Text(it, attrSK), gapPrefix), 10, 64)
			if err != nil {
				return nil, false, fmt.Errorf("read gap of the platform: %q", attr.Text(it, attrSK))
			}
			list = append(list, Gap{From: time.UnixMilli(ms).UTC(), Until: attr.Moment(it, attrUntil), Reason: Reason(attr.Text(it, attrReason))})
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
		if more = len(in.ExclusiveStartKey) > 0; !more || len(list) >= most {
			return list, more, nil
		}
	}
}

func decodePulse(it attr.Item) Pulse {
	return Pulse{
		First: attr.Moment(it, attrFirst), Last: attr.Moment(it, attrLast), Failing: attr.Moment(it, attrFailing), Gap: time.Duration(attr.Number(it, attrGap)) * time.Millisecond,
	}
}
