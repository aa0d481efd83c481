package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/restriction"
)

// ClosureStatus says how far the closing of an account is.
type ClosureStatus string

// The statuses of a closure.
const (
	// Closing: nothing is sent any more, everything can be read and exported, and it can be canceled.
	Closing ClosureStatus = "closing"
	// Purging: what is kept is being taken away.
	Purging ClosureStatus = "purging"
	Closed  ClosureStatus = "closed"
	// Reopened: it was canceled in time.
	Reopened ClosureStatus = "canceled"
)

// MaxGrace is how far ahead an account's data may be purged that is being closed, DefaultGrace when the account says
// nothing else. Its job waits in a queue, which keeps it for two weeks.
const (
	DefaultGrace = 7 * 24 * time.Hour
	MaxGrace     = 10 * 24 * time.Hour
)

// Closure is the closing of an account.
type Closure struct {
	AccountID string        `json:"account"`
	Status    ClosureStatus `json:"status"`
	// RestrictionID is the block that holds everything while the account is closing, and stays when it is closed.
	RestrictionID string    `json:"restriction"`
	RequestedAt   time.Time `json:"requested_at"`
	RequestedBy   string    `json:"requested_by"`
	// PurgeAt is when the purge begins, PurgedAt when it was done.
	PurgeAt  time.Time `json:"purge_at"`
	PurgedAt time.Time `json:"purged_at,omitzero"`

	// Channels are those whose conversations are to be purged; BegunAt is when the last of them was taken out of use.
	Channels []string  `json:"channels,omitempty"`
	BegunAt  time.Time `json:"begun_at,omitzero"`
	// Conversations, Messages and Records (of recipients) count what was purged, Canceled which messages were taken back for it. A purge that
	// is cut off may count too little.
	Conversations int64 `json:"conversations,omitempty"`
	Messages      int64 `json:"messages,omitempty"`
	Records       int64 `json:"records,omitempty"`
	Canceled      int64 `json:"canceled,omitempty"`
	// Certificate is the signed word that the account was purged; "" until then.
	Certificate string `json:"certificate,omitempty"`

	step int64
}

var (
	// ErrNoClosure: the account is not being closed.
	ErrNoClosure = errors.New("account is not being closed")
	// ErrClosureChanged: somebody else changed the closure meanwhile.
	ErrClosureChanged = errors.New("closure changed meanwhile")
)

const (
	closureSort = "closure"
	attrStep    = "step"
)

func closureKey(accountID string) attr.Item {
	return attr.Item{attrPK: attr.String(accountID), attrSK: attr.String(closureSort)}
}

// Close begins to close an account: the block that holds everything and the closure are one write with the event. It
// returns ErrClosureChanged when the account is being closed already. Two requests.
func (s *Store) Close(ctx context.Context, c Closure, block restriction.Restriction, e audit.Event) error {
	body, err := attr.JSON(block)
	if err != nil {
		return err
	}
	it := restrictionKey(block.AccountID, block.ID)
	it[attrBody] = body
	pointer := pointerKey(block.ID)
	pointer[attrOwner] = attr.String(block.AccountID)
	put, err := s.closurePut(c)
	if err != nil {
		return err
	}
	return s.relist(ctx, c.AccountID, e, func(set restriction.Set) (restriction.Set, error) {
		switch was, err := s.Closure(ctx, c.AccountID); {
		case errors.Is(err, ErrNoClosure):
		case err != nil:
			return nil, err
		case was.Status != Reopened:
			return nil, ErrClosureChanged
		}
		return append(set, listed(block)), nil
	}, s.putNew(it), s.putNew(pointer), put)
}

func (s *Store) closurePut(c Closure) (types.TransactWriteItem, error) {
	body, err := attr.JSON(c)
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	it := closureKey(c.AccountID)
	it[attrBody], it[attrStep], it[attrClosure] = body, attr.Int(c.step), attr.String(string(c.Status))
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk) OR #status = :reopened"),
		ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#status": attrClosure}, ExpressionAttributeValues: attr.Item{":reopened": attr.String(string(Reopened))},
	}}, nil
}

const attrClosure = "closure_status"

// Closure gives the closing of an account, also one that was canceled, or ErrNoClosure. One strongly consistent request.
func (s *Store) Closure(ctx context.Context, accountID string) (Closure, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: closureKey(accountID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Closure{}, fmt.Errorf("get closure: %w", err)
	}
	if len(out.Item) == 0 {
		return Closure{}, ErrNoClosure
	}
	var c Closure
	err = attr.FromJSON(out.Item, attrBody, &c)
	c.step = attr.Number(out.Item, attrStep)
	return c, err
}

// Reopen cancels a closure that has not begun to purge and lifts its block, in one write with the event. It returns
// ErrClosureChanged when the purge has begun. Four requests.
func (s *Store) Reopen(ctx context.Context, c Closure, by string, e audit.Event) error {
	block, err := s.Restriction(ctx, c.RestrictionID)
	if err != nil {
		return err
	}
	lifted, err := s.mark(&block, by)
	if err != nil {
		return err
	}
	c.Status = Reopened
	update, err := closureUpdate(c, Closing)
	if err != nil {
		return err
	}
	return s.relist(ctx, c.AccountID, e, func(set restriction.Set) (restriction.Set, error) {
		now, err := s.Closure(ctx, c.AccountID)
		if err == nil && now.Status != Closing {
			err = ErrClosureChanged
		}
		return without(set, c.RestrictionID), err
	}, lifted, types.TransactWriteItem{Update: update.Part(s.Table, closureKey(c.AccountID))})
}

// Advance records how far the purge of an account is; c.Status is what it is from now on, was what it was. It returns
// ErrClosureChanged when somebody else works on it.
func (s *Store) Advance(ctx context.Context, c *Closure, was ClosureStatus) error {
	u, err := closureUpdate(*c, was)
	if err != nil {
		return err
	}
	_, applied, err := u.Apply(ctx, s.DB, s.Table, closureKey(c.AccountID))
	if err != nil {
		return fmt.Errorf("record closure: %w", err)
	}
	if !applied {
		return ErrClosureChanged
	}
	c.step++
	return nil
}

// closureUpdate writes a closure over what was read.
func closureUpdate(c Closure, was ClosureStatus) (*attr.Update, error) {
	body, err := attr.JSON(c)
	if err != nil {
		return nil, err
	}
	u := new(attr.Update)
	u.Require(u.Is(attrStep, "=", attr.Int(c.step)), u.Is(attrClosure, "=", attr.String(string(was))))
	u.Set(attrBody, body)
	u.Set(attrStep, attr.Int(c.step+1))
	u.Set(attrClosure, attr.String(string(c.Status)))
	return u, nil
}
