package audit

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit/chain"
	"contactcenter/shared/id"
)

// saltBytes is how many random bytes keep what is withheld of an event from being guessed.
const saltBytes = 16

var errPlace = errors.New("the chain's last place is damaged")

// last gives the last place of a chain, the zero Link of a new one. One strongly consistent query of one small item.
func (l *Log) last(ctx context.Context, partition string) (chain.Link, error) {
	out, err := l.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &l.Table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(1),
		KeyConditionExpression: aws.String("#pk = :pk"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(chainPrefix + partition)},
	})
	if err != nil {
		return chain.Link{}, fmt.Errorf("read the chain's end: %w", err)
	}
	if len(out.Items) == 0 {
		return chain.Link{}, nil
	}
	at := linkOf(out.Items[0])
	if at.Sequence == 0 || at.ID == "" || at.Hash == "" {
		return chain.Link{}, errPlace
	}
	return at, nil
}

// next gives an event the place after another, with an id that sorts after the other's.
func (l *Log) next(last chain.Link, e Event) (Event, error) {
	if e.At.IsZero() {
		e.At = l.Now()
	}
	e.At = e.At.UTC().Truncate(time.Millisecond)
	var err error
	if e.ID, err = l.after(last.ID).New(id.AuditPrefix); err != nil {
		return e, err
	}
	if e.Before, err = asStored(e.Before); err != nil {
		return e, err
	}
	if e.After, err = asStored(e.After); err != nil {
		return e, err
	}
	e.Sequence, e.PreviousHash, e.WithheldSalt = last.Sequence+1, last.Hash, ""
	if last.Sequence == 0 {
		e.PreviousHash = chain.Start
	}
	if _, withheld := chain.Withhold(e.Record()); len(withheld) > 0 {
		salt := make([]byte, saltBytes)
		if _, err := io.ReadFull(l.IDs.Random, salt); err != nil {
			return e, fmt.Errorf("read randomness: %w", err)
		}
		e.WithheldSalt = hex.EncodeToString(salt)
	}
	if e.Hash, err = chain.Hash(e.Record()); err != nil {
		return e, fmt.Errorf("hash audit event: %w", err)
	}
	return e, nil
}

// after gives ids that sort after another, also where the clock that made that one is ahead of this one's.
func (l *Log) after(last string) id.Source {
	earliest := id.TimeOf(id.AuditPrefix, last).Add(time.Millisecond)
	now := l.IDs.Now
	return id.Source{Random: l.IDs.Random, Now: func() time.Time {
		if at := now(); at.After(earliest) {
			return at
		}
		return earliest
	}}
}

// asStored gives values as they are when they are read again, which is what the hash is of.
func asStored(values map[string]any) (out map[string]any, err error) {
	if values == nil {
		return nil, nil
	}
	b, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("encode audit event: %w", err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("decode audit event: %w", err)
	}
	return out, nil
}
