package claim

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
)

const (
	attrCount  = "count"
	attrEnds   = "ends_at"
	sourceSort = "source"
	ofSource   = "source#"
	countTries = 4
)

// Limits of complaints from one source.
const (
	PerSource    = 10
	SourceWindow = time.Hour
)

// Sources bounds how many complaints come from one source address. Of the address it keeps a keyed hash only, for SourceWindow.
type Sources struct {
	DB    DynamoDB
	Table string
	// Key is a secret: without it, the addresses could be guessed from their hashes.
	Key []byte
	Now func() time.Time
}

// TooMany says that a source has sent as many complaints as it may.
type TooMany struct {
	// ResetsAt is when it may send again.
	ResetsAt time.Time
}

// Error says so.
func (*TooMany) Error() string { return "too many complaints from this source" }

// Count counts a complaint from an address, or returns *TooMany. It is exact, however many come at once. One request; two for
// the first complaint from a source.
func (s *Sources) Count(ctx context.Context, address string) error {
	pk := ofSource + s.hash(address)
	for range countTries {
		now := s.Now()
		ends, err := s.update(ctx, pk, &dynamodb.UpdateItemInput{
			UpdateExpression: aws.String("ADD #n :one"), ConditionExpression: aws.String("#ends > :now AND #n < :most"),
			ExpressionAttributeNames:  map[string]string{"#n": attrCount, "#ends": attrEnds},
			ExpressionAttributeValues: attr.Item{":one": attr.Int(1), ":now": attr.Time(now), ":most": attr.Int(PerSource)},
		})
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errRefused):
			return err
		case ends.After(now):
			return &TooMany{ResetsAt: ends}
		}
		_, err = s.update(ctx, pk, &dynamodb.UpdateItemInput{
			UpdateExpression: aws.String("SET #n = :one, #ends = :ends, #ttl = :ttl"), ConditionExpression: aws.String("attribute_not_exists(#ends) OR #ends <= :now"),
			ExpressionAttributeNames: map[string]string{"#n": attrCount, "#ends": attrEnds, "#ttl": attrTTL},
			ExpressionAttributeValues: attr.Item{
				":one": attr.Int(1), ":now": attr.Time(now), ":ends": attr.Time(now.Add(SourceWindow)), ":ttl": attr.Int(now.Add(SourceWindow).Unix()),
			},
		})
		if !errors.Is(err, errRefused) {
			return err
		}
	}
	return fmt.Errorf("count complaint: the count changed %d times meanwhile", countTries)
}

var errRefused = errors.New("refused")

// update writes, or returns errRefused with when the window ends that stands against it.
func (s *Sources) update(ctx context.Context, pk string, in *dynamodb.UpdateItemInput) (ends time.Time, err error) {
	in.TableName, in.Key = &s.Table, key(pk, sourceSort)
	in.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	_, err = s.DB.UpdateItem(ctx, in)
	if refused := new(types.ConditionalCheckFailedException); errors.As(err, &refused) {
		return attr.Moment(refused.Item, attrEnds), errRefused
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("count complaint: %w", err)
	}
	return time.Time{}, nil
}

// hash stands for an address. IPv6 gives one household a whole network of 64 bits: they count as one.
func (s *Sources) hash(address string) string {
	if ip, err := netip.ParseAddr(address); err == nil {
		if ip = ip.Unmap(); ip.Is6() {
			if network, err := ip.WithZone("").Prefix(64); err == nil {
				ip = network.Addr()
			}
		}
		address = ip.String()
	}
	h := hmac.New(sha256.New, s.Key)
	h.Write([]byte(address))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
