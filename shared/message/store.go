package message

import (
	"context"
	"errors"
	"fmt"
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
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
}

const (
	// IntakeTime is how long the acceptance of a message may take, from its id to its record.
	IntakeTime = 10 * time.Second
	// LostAfter is the age of a message's id from which a reference without a record is given up.
	LostAfter = 2 * IntakeTime
)

// Store keeps messages and conversations in one table. Every method is one request to DynamoDB unless it says so.
type Store struct {
	DB    DynamoDB
	Table string
	// Retention is how long a message is kept after its creation.
	Retention time.Duration
	// Sealer seals addresses and content. Only Create and Receive need it.
	Sealer Sealer
	// Opener opens them, for Get, Open and all that lists messages with their content. Nil in functions that must not.
	Opener Opener
	// Audit writes what a person changes. Only Assign needs it.
	Audit Auditor
}

// Create records a new message. Creating the same message again changes nothing, so a retry is safe. Long content
// is written first, in a request of its own.
func (s *Store) Create(ctx context.Context, m Message) error {
	state, long, err := encode(m, s.Retention, s.Sealer)
	if err != nil {
		return err
	}
	for _, it := range []item{long, state} {
		if it == nil {
			continue
		}
		_, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &s.Table, Item: it,
			ConditionExpression:      aws.String("attribute_not_exists(#pk)"),
			ExpressionAttributeNames: map[string]string{"#pk": attrPK},
		})
		if refused := new(types.ConditionalCheckFailedException); err != nil && !errors.As(err, &refused) {
			return fmt.Errorf("create message: %w", err)
		}
	}
	return nil
}

// Get reads one message with its content: one request, or two when the content is long. It returns ErrNotFound.
func (s *Store) Get(ctx context.Context, accountID string, mid id.Message) (Message, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: key(accountID, mid, statePrefix), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Message{}, fmt.Errorf("get message: %w", err)
	}
	if len(out.Item) == 0 {
		return Message{}, ErrNotFound
	}
	m, err := decode(out.Item)
	if err != nil {
		return Message{}, err
	}
	return m, s.Open(ctx, &m)
}

// States reads the states of messages of an account, still sealed: one request for each 100. Missing ones are left out. The
// read is eventually consistent, which is enough for what never changes back: that a message is final.
func (s *Store) States(ctx context.Context, accountID string, ids []id.Message) (map[id.Message]Message, error) {
	return s.states(ctx, accountID, ids, types.KeysAndAttributes{})
}

// standing lists the attributes that Standings reads.
var standing = [...]string{
	attrPK, attrSK, attrDirection, attrChannel, attrProvider, attrOutcome, attrReport, attrClaim, attrFence, attrHeld, attrHeldLease, attrHeldBy, attrRelease, attrOnLimit, attrExpires,
}

// Standings reads where messages of an account stand, without their content and addresses, strongly consistent: so a message
// that is left out was not there. One request for each 100.
func (s *Store) Standings(ctx context.Context, accountID string, ids []id.Message) (map[id.Message]Message, error) {
	names, list := projection(standing[:]...)
	return s.states(ctx, accountID, ids, types.KeysAndAttributes{ConsistentRead: aws.Bool(true), ProjectionExpression: &list, ExpressionAttributeNames: names})
}

func (s *Store) states(ctx context.Context, accountID string, ids []id.Message, ask types.KeysAndAttributes) (map[id.Message]Message, error) {
	found := make(map[id.Message]Message, len(ids))
	asked := make(map[id.Message]bool, len(ids))
	for _, mid := range ids {
		if !asked[mid] { // DynamoDB refuses a key that is given twice
			asked[mid] = true
			ask.Keys = append(ask.Keys, key(accountID, mid, statePrefix))
		}
	}
	items, err := awsclient.BatchGet(ctx, s.DB, s.Table, ask)
	if err != nil {
		return nil, fmt.Errorf("get states: %w", err)
	}
	for _, it := range items {
		m, err := decode(it)
		if err != nil {
			return nil, err
		}
		found[m.ID] = m
	}
	return found, nil
}

// Tail is what a dispatcher must know of a conversation before it hands a message over.
type Tail struct {
	Message Message
	// Previous is the newest earlier message of the conversation that was handed over or waits for it; nil: there is
	// none.
	Previous *Message
	// Active is when the conversation was last listed as active before this message, as far as the query saw.
	Active time.Time
}

const (
	tailPage  = 4
	tailPages = 25
)

// Tail reads a message, still sealed, and the end of its conversation before it, in one strongly consistent query. A conversation
// in which the recipient wrote several times in a row takes further pages of it. It returns ErrNotFound when the
// message is not there.
//
// Looking at one earlier outbound message is enough: it was itself only handed over when the one before it was. One
// that came to its end without being handed over waited for nobody, so it is looked past, and so is one whose time has not
// come at now.
func (s *Store) Tail(ctx context.Context, accountID string, mid id.Message, now time.Time) (Tail, error) {
	var (
		tail  Tail
		found bool
		start item
	)
	for range tailPages {
		out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
			TableName: &s.Table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(tailPage), ExclusiveStartKey: start,
			KeyConditionExpression:   aws.String("#pk = :pk AND #sk BETWEEN :first AND :this"),
			ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK},
			ExpressionAttributeValues: item{
				":pk": str(partition(accountID, mid.Conversation)), ":first": str(statePrefix), ":this": str(statePrefix + mid.Unique),
			},
		})
		if err != nil {
			return Tail{}, fmt.Errorf("query conversation: %w", err)
		}
		for _, it := range out.Items {
			m, err := decode(it)
			if err != nil {
				return Tail{}, err
			}
			if m.ID == mid {
				tail.Message, found = m, true
				continue
			}
			if tail.Active.IsZero() && m.listed() {
				tail.Active = m.CreatedAt()
			}
			if m.Direction == Outbound && !m.passedBy() && !m.Scheduled(now) {
				tail.Previous = &m
				break
			}
		}
		if !found {
			return Tail{}, ErrNotFound
		}
		if tail.Previous != nil || len(out.LastEvaluatedKey) == 0 {
			break
		}
		start = out.LastEvaluatedKey
	}
	return tail, nil
}

// passedBy reports whether the message came to its end without an attempt to hand it over, so that it says nothing
// about the messages before it.
func (m Message) passedBy() bool {
	switch m.Outcome {
	case Canceled, Rejected, Expired:
		return true
	case Failed:
		return m.Attempts == 0
	}
	return false
}
