package message

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/attr"
	"contactcenter/shared/id"
)

// ScheduledShards is over how many keys of the index the scheduled messages are spread, so that many that are due in
// the same minute are found side by side.
const ScheduledShards = 4

// Due is a message whose time comes.
type Due struct {
	AccountID string
	ID        id.Message
	SendAt    time.Time
}

func shardOf(m id.Message) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(m.Unique)) // never fails
	return ScheduledShard(int(h.Sum32() % ScheduledShards))
}

// ScheduledShard is the name of one of the ScheduledShards.
func ScheduledShard(i int) string { return "c" + strconv.Itoa(i) }

// dueKey sorts by time: milliseconds have 13 digits until the year 2286.
func dueKey(at time.Time, m id.Message) string {
	return fmt.Sprintf("%013d#%s%s", at.UnixMilli(), m.Unique, m.Conversation)
}

// Due lists the messages of a shard whose time comes before a moment, the earliest first, a page at a time: those whose
// references are not on their way. The index follows the table within moments.
func (s *Store) Due(ctx context.Context, shard string, before time.Time, p attr.Page) ([]Due, string, error) {
	out, err := s.page(ctx, p, &dynamodb.QueryInput{
		IndexName: aws.String(ScheduledIndex), ScanIndexForward: aws.Bool(true), KeyConditionExpression: aws.String("#k = :k AND #due < :before"),
		ExpressionAttributeNames:  map[string]string{"#k": attrShard, "#due": attrDue},
		ExpressionAttributeValues: item{":k": str(shard), ":before": str(fmt.Sprintf("%013d", before.UnixMilli()))},
	}, attrShard, attrDue)
	if err != nil {
		return nil, "", err
	}
	list := make([]Due, 0, len(out.Items))
	for _, it := range out.Items {
		accountID, conversation, _ := strings.Cut(text(it, attrPK), "#")
		ms, _, _ := strings.Cut(text(it, attrDue), "#")
		at, err := strconv.ParseInt(ms, 10, 64)
		if err != nil {
			return nil, "", fmt.Errorf("read index of scheduled messages: %w", err)
		}
		list = append(list, Due{AccountID: accountID, ID: id.Message{Unique: strings.TrimPrefix(text(it, attrSK), statePrefix), Conversation: conversation}, SendAt: time.UnixMilli(at).UTC()})
	}
	next, err := attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

// OnItsWay takes a message out of the list of those that are to go, when its reference is queued. It does nothing when the
// message was moved to another time meanwhile: then that time brings it again.
func (s *Store) OnItsWay(ctx context.Context, d Due) error {
	w := newWrite()
	w.Remove(attrShard, attrDue)
	w.Require(w.Is(attrDue, "=", str(dueKey(d.SendAt, d.ID))))
	_, err := s.write(ctx, d.AccountID, d.ID, w)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Reschedule moves a message to another time. It is refused when the message is no longer listed: its reference is on
// its way, or it is final.
func (s *Store) Reschedule(ctx context.Context, m Message, at time.Time) (Written, error) {
	w := newWrite()
	w.Set(attrSendAt, num(at.UnixMilli()))
	w.Set(attrNotBefore, num(at.UnixMilli()))
	w.Set(attrDue, str(dueKey(at, m.ID)))
	w.outcome(Queued)
	w.Require(w.Is(attrDue, "=", str(dueKey(m.SendAt, m.ID))))
	return s.update(ctx, m.AccountID, m.ID, w)
}
