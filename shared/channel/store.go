package channel

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
	"contactcenter/shared/awsclient"
)

// Items: pk channel id, sk "channel". Index "account": ak account id, as channel id; a deleted channel is under account#deleted. For
// instructions see instruction.go.
const (
	attrPK           = "pk"
	attrSK           = "sk"
	attrAccountKey   = "ak"
	attrAccountSort  = "as"
	attrAccount      = "account_id"
	attrProvider     = "provider_id"
	attrAdapter      = "adapter"
	attrType         = "type"
	attrName         = "name"
	attrAddress      = "address"
	attrSender       = "sender_id"
	attrSettings     = "settings"
	attrStatus       = "status"
	attrCreatedAt    = "created_at"
	attrCreatedBy    = "created_by"
	attrActivatedAt  = "activated_at"
	attrActivatedBy  = "activated_by"
	attrConfirmation = "confirmation"
	attrPaused       = "paused_until"
	attrDeleted      = "deleted_at"
	attrCredentials  = "credentials" // sealed

	channelSort = "channel"
	// deletedSuffix makes the account's key in the index that of its deleted channels. No account's id has a #.
	deletedSuffix = "#deleted"

	// AccountIndex lists an account's channels.
	AccountIndex = "account"
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Store keeps channels. Every method is one request to DynamoDB unless it says so. What a person changes is written together
// with its audit event; a change that changes nothing writes none.
type Store struct {
	DB    DynamoDB
	Table string
	// Audit is needed by the methods that take an event.
	Audit *audit.Log
}

// Get gives a channel, or ErrNotFound when there is none or it was deleted. The read is strongly consistent.
func (s *Store) Get(ctx context.Context, id string) (Channel, error) {
	c, err := s.Lookup(ctx, id)
	if err == nil && c.Deleted() {
		return Channel{}, ErrNotFound
	}
	return c, err
}

// Peek is Get at half the price: the read is eventually consistent, so a change of the last moment may be missed.
func (s *Store) Peek(ctx context.Context, id string) (Channel, error) {
	c, err := s.read(ctx, id, false)
	if err == nil && c.Deleted() {
		return Channel{}, ErrNotFound
	}
	return c, err
}

// At is where a channel lies, for who reads it together with other items; Found is what was found there.
func (s *Store) At(id string) awsclient.Key { return awsclient.Key{Table: s.Table, Item: key(id)} }

// Found reads a channel, or returns ErrNotFound for an item that is not there and for a deleted channel.
func (s *Store) Found(it attr.Item) (Channel, error) {
	if len(it) == 0 {
		return Channel{}, ErrNotFound
	}
	c, err := decode(it)
	if err == nil && c.Deleted() {
		return Channel{}, ErrNotFound
	}
	return c, err
}

// Lookup gives a channel, also a deleted one: what was sent by it is still reported on. It returns ErrNotFound.
func (s *Store) Lookup(ctx context.Context, id string) (Channel, error) { return s.read(ctx, id, true) }

func (s *Store) read(ctx context.Context, id string, consistent bool) (Channel, error) {
	it, err := s.item(ctx, id, consistent)
	if err != nil {
		return Channel{}, err
	}
	return decode(it)
}

func (s *Store) item(ctx context.Context, id string, consistent bool) (attr.Item, error) {
	if id == "" {
		return nil, ErrNotFound
	}
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: key(id), ConsistentRead: &consistent})
	if err != nil {
		return nil, fmt.Errorf("get channel: %w", err)
	}
	if len(out.Item) == 0 {
		return nil, ErrNotFound
	}
	return out.Item, nil
}

// Create records a new channel, inactive whatever its status says. Creating the same channel again changes nothing.
func (s *Store) Create(ctx context.Context, c Channel, e audit.Event) error {
	it := key(c.ID)
	it[attrAccountKey], it[attrAccountSort], it[attrAccount] = attr.String(c.AccountID), attr.String(c.ID), attr.String(c.AccountID)
	it[attrProvider], it[attrType], it[attrName] = attr.String(c.ProviderID), attr.String(c.Type), attr.String(c.Name)
	it[attrStatus], it[attrCreatedAt], it[attrCreatedBy] = attr.String(string(Inactive)), attr.Time(c.CreatedAt), attr.String(c.CreatedBy)
	it[attrSettings] = attr.Map(c.Settings)
	if c.Adapter != "" {
		it[attrAdapter] = attr.String(c.Adapter)
	}
	if c.Address != "" {
		it[attrAddress] = attr.String(c.Address)
	}
	if c.SenderID != "" {
		it[attrSender] = attr.String(c.SenderID)
	}
	if len(c.SealedCredentials) > 0 {
		it[attrCredentials] = &types.AttributeValueMemberB{Value: c.SealedCredentials}
	}
	e.Action, e.Target = "channel.created", c.ID
	e.After = map[string]any{"provider_id": c.ProviderID, "type": c.Type, "name": c.Name, "status": string(Inactive)}
	err := s.Audit.Write(ctx, e, types.TransactWriteItem{Put: &types.Put{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	}})
	if err != nil && audit.AsRefused(err) == nil {
		return fmt.Errorf("create channel: %w", err)
	}
	return nil
}

// List gives an account's channels, newest first. The index follows the table within moments.
func (s *Store) List(ctx context.Context, accountID string, p attr.Page) (list []Channel, next string, err error) {
	return s.list(ctx, accountID, p)
}

// Deleted gives the channels that an account had, newest first: messages were sent by them.
func (s *Store) Deleted(ctx context.Context, accountID string, p attr.Page) (list []Channel, next string, err error) {
	return s.list(ctx, accountID+deletedSuffix, p)
}

// Ever gives every channel that an account has, then every one that it had. Two requests for up to 200 channels of each kind.
func (s *Store) Ever(ctx context.Context, accountID string) ([]Channel, error) {
	has, err := attr.All(ctx, accountID, s.List)
	if err != nil {
		return nil, err
	}
	had, err := attr.All(ctx, accountID, s.Deleted)
	return append(has, had...), err
}

func (s *Store) list(ctx context.Context, accountID string, p attr.Page) (list []Channel, next string, err error) {
	start, err := attr.Start(p.Token, map[string]string{attrAccountKey: accountID, attrSK: channelSort}, attrPK, attrAccountSort)
	if err != nil {
		return nil, "", err
	}
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, IndexName: aws.String(AccountIndex), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(p.Size)), ExclusiveStartKey: start,
		KeyConditionExpression: aws.String("#ak = :ak"), ExpressionAttributeNames: map[string]string{"#ak": attrAccountKey},
		ExpressionAttributeValues: attr.Item{":ak": attr.String(accountID)},
	})
	if err != nil {
		return nil, "", fmt.Errorf("list channels: %w", err)
	}
	for _, it := range out.Items {
		c, err := decode(it)
		if err != nil {
			return nil, "", err
		}
		list = append(list, c)
	}
	next, err = attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

// Rename gives a channel another name. Two requests.
func (s *Store) Rename(ctx context.Context, id, name string, e audit.Event) (Channel, error) {
	return s.act(ctx, id, e, "channel.renamed", func(c Channel) (act, bool) {
		return act{
			change: change{set: attr.Item{attrName: attr.String(name)}},
			before: map[string]any{"name": c.Name}, after: map[string]any{"name": name},
		}, c.Name != name
	})
}

// Activation is a customer's activation of a channel.
type Activation struct {
	// By is the user who does it: the subject of a customer's token. With an Instruction it is the user who gave it.
	By           string
	At           time.Time
	Confirmation Confirmation
	// Settings and Address are what the provider's adapter arranged; an empty Address leaves the channel's, an empty Adapter
	// what speaks for it.
	Settings         map[string]string
	Address, Adapter string
	// Instruction is the customer's explicit instruction that somebody else follows; nil: the user does it in person.
	Instruction *Instruction
}

// Activate makes a channel active. Nothing else in the Contact Center does: only a duly authorized user of the account
// may activate a channel, in person or by an instruction for this one channel, which is used up by it. It returns
// ErrInstruction when the instruction is not good (any more); nothing is changed then. Two requests.
func (s *Store) Activate(ctx context.Context, id string, a Activation, e audit.Event) (Channel, error) {
	if a.By == "" {
		return Channel{}, errors.New("activate channel: no user is named who does it")
	}
	confirmation, err := attr.JSON(a.Confirmation)
	if err != nil {
		return Channel{}, err
	}
	set := attr.Item{
		attrStatus: attr.String(string(Active)), attrActivatedBy: attr.String(a.By), attrActivatedAt: attr.Time(a.At),
		attrConfirmation: confirmation, attrSettings: attr.Map(a.Settings),
	}
	if a.Address != "" {
		set[attrAddress] = attr.String(a.Address)
	}
	if a.Adapter != "" {
		set[attrAdapter] = attr.String(a.Adapter)
	}
	var with []types.TransactWriteItem
	if a.Instruction != nil {
		if a.Instruction.ChannelID != id {
			return Channel{}, ErrInstruction
		}
		e.InstructionID = a.Instruction.ID
		with = append(with, s.follow(*a.Instruction, a.At, e.Actor.ID))
	}
	e.RulesVersion = a.Confirmation.RulesVersion
	return s.act(ctx, id, e, "channel.activated", func(c Channel) (act, bool) {
		return act{
			change: change{set: set}, with: with, before: map[string]any{"status": string(c.Status)},
			after: map[string]any{
				"status": string(Active), "activated_by": a.By, "provider_terms_version": a.Confirmation.ProviderTermsVersion,
				"transfer_countries": a.Confirmation.TransferCountries,
			},
		}, true
	})
}

// Deactivate makes a channel inactive. An inactive one stays so. Two requests.
func (s *Store) Deactivate(ctx context.Context, id string, e audit.Event) (Channel, error) {
	return s.act(ctx, id, e, "channel.deactivated", func(c Channel) (act, bool) {
		return act{
			change: change{set: attr.Item{attrStatus: attr.String(string(Inactive))}},
			before: map[string]any{"status": string(c.Status)}, after: map[string]any{"status": string(Inactive)},
		}, c.Status != Inactive
	})
}

// Pause keeps a channel from being used before until, because its provider asks for that. A pause only ever gets longer.
func (s *Store) Pause(ctx context.Context, id string, until time.Time) error {
	_, err := s.update(ctx, id, change{
		set:     attr.Item{attrPaused: attr.Time(until)},
		require: func(u *attr.Update) { u.Require(u.AbsentOr(attrPaused, "<", attr.Time(until))) },
	})
	return err
}

// MarkCredentialsInvalid takes an active channel out of use, because its provider no longer takes the credentials. It
// does nothing to a channel that is not active, or that has got other credentials than those used, which are given as they
// were sealed; marked tells whether it did.
func (s *Store) MarkCredentialsInvalid(ctx context.Context, id string, used []byte) (marked bool, err error) {
	return s.update(ctx, id, change{
		set: attr.Item{attrStatus: attr.String(string(CredentialsInvalid))},
		require: func(u *attr.Update) {
			u.Require(u.Is(attrStatus, "=", attr.String(string(Active))))
			if len(used) > 0 {
				u.Require(u.Is(attrCredentials, "=", &types.AttributeValueMemberB{Value: used}))
			}
		},
	})
}

// Connected is what came of trying an account's credentials at the provider.
type Connected struct {
	// Sealed are the credentials, as SealCredentials made them.
	Sealed []byte
	// Settings are the adapter's own; an empty Address leaves the channel's, an empty Adapter what speaks for it.
	Settings         map[string]string
	Address, Adapter string
}

// ReplaceCredentials gives a channel other credentials, as SealCredentials made them. A channel whose credentials were refused
// is inactive then: its user activates it again. Two requests.
func (s *Store) ReplaceCredentials(ctx context.Context, id string, with Connected, e audit.Event) (Channel, error) {
	return s.act(ctx, id, e, "channel.credentials_replaced", func(c Channel) (act, bool) {
		status := c.Status
		if status == CredentialsInvalid {
			status = Inactive
		}
		set := attr.Item{attrCredentials: &types.AttributeValueMemberB{Value: with.Sealed}, attrStatus: attr.String(string(status)), attrSettings: attr.Map(with.Settings)}
		if with.Address != "" {
			set[attrAddress] = attr.String(with.Address)
		}
		if with.Adapter != "" {
			set[attrAdapter] = attr.String(with.Adapter)
		}
		return act{
			change: change{set: set},
			before: map[string]any{"status": string(c.Status)}, after: map[string]any{"status": string(status)},
		}, true
	})
}

// Settle keeps what the provider's adapter has arranged for a channel after it was stored. It is no change that a person
// makes. It returns ErrNotFound.
func (s *Store) Settle(ctx context.Context, id string, settings map[string]string) error {
	_, err := s.update(ctx, id, change{set: attr.Item{attrSettings: attr.Map(settings)}})
	return err
}

// Delete takes a channel away from its account, and its credentials for good. What remains only tells what the channel was, for reports on what was
// sent by it; no method changes it again. It returns the channel, or ErrNotFound when it is deleted already. Two requests.
func (s *Store) Delete(ctx context.Context, id string, at time.Time, e audit.Event) (Channel, error) {
	return s.act(ctx, id, e, "channel.deleted", func(c Channel) (act, bool) {
		return act{
			change: change{
				set:    attr.Item{attrDeleted: attr.Time(at), attrStatus: attr.String(string(Inactive)), attrAccountKey: attr.String(c.AccountID + deletedSuffix)},
				remove: []string{attrCredentials},
			},
			before: map[string]any{"status": string(c.Status), "name": c.Name},
		}, true
	})
}

func key(id string) attr.Item {
	return attr.Item{attrPK: attr.String(id), attrSK: attr.String(channelSort)}
}

func decode(it attr.Item) (Channel, error) {
	c := Channel{
		ID: attr.Text(it, attrPK), AccountID: attr.Text(it, attrAccount), ProviderID: attr.Text(it, attrProvider), Type: attr.Text(it, attrType),
		Name: attr.Text(it, attrName), Address: attr.Text(it, attrAddress), SenderID: attr.Text(it, attrSender), Settings: attr.TextMap(it, attrSettings),
		Status: Status(attr.Text(it, attrStatus)), CreatedAt: attr.Moment(it, attrCreatedAt), CreatedBy: attr.Text(it, attrCreatedBy),
		ActivatedBy: attr.Text(it, attrActivatedBy), ActivatedAt: attr.Moment(it, attrActivatedAt),
		PausedUntil: attr.Moment(it, attrPaused), DeletedAt: attr.Moment(it, attrDeleted), Adapter: attr.Text(it, attrAdapter),
	}
	if b, ok := it[attrCredentials].(*types.AttributeValueMemberB); ok {
		c.SealedCredentials = b.Value
	}
	return c, attr.FromJSON(it, attrConfirmation, &c.Confirmation)
}

// Purge takes away all that is kept of a channel, also what lies beside it. No callback finds it afterwards.
func (s *Store) Purge(ctx context.Context, id string) error {
	for {
		out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
			TableName: &s.Table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("#pk = :pk"), ProjectionExpression: aws.String("#pk, #sk"),
			ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK}, ExpressionAttributeValues: attr.Item{":pk": attr.String(id)},
		})
		if err != nil {
			return fmt.Errorf("list what is kept of a channel: %w", err)
		}
		if len(out.Items) == 0 {
			return nil
		}
		for _, it := range out.Items {
			if _, err := s.DB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.Table, Key: attr.Item{attrPK: it[attrPK], attrSK: it[attrSK]}}); err != nil {
				return fmt.Errorf("purge channel: %w", err)
			}
		}
	}
}
