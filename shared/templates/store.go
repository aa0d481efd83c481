package templates

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
)

// Items, in the table of channels: pk "templates#<channel id>", sk "templates". The partition is not the channel's own, so
// that a policy can let a function write these and no channel. The list is sealed: it is the customer's words.
const (
	attrPK      = "pk"
	attrSK      = "sk"
	attrList    = "list" // JSON, packed by gzip, sealed
	attrSynced  = "synced_at"
	attrChanged = "changed_at"
	attrTTL     = "ttl" // seconds

	keyPrefix = "templates#"
	listSort  = "templates"

	// keptFor is for how long a list is kept that nobody asks for.
	keptFor = 30 * 24 * time.Hour
	// maxBytes bounds a list as it is kept; an item of DynamoDB holds 400 KB.
	maxBytes = 380 << 10
)

// ErrTooLarge: the list is larger than what can be kept.
var ErrTooLarge = errors.New("list of templates is too large to be kept")

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// Sealer seals lists: a *seal.Sealer of the group seal.Credentials does, whose openers are those that may speak to a
// provider in the account's name.
type Sealer interface {
	Seal(accountID, purpose string, plain []byte) ([]byte, error)
}

// Opener opens them: a *seal.Opener of that group does.
type Opener interface {
	Open(accountID, purpose string, sealed []byte) ([]byte, error)
}

// Store keeps lists. Every method is one request to DynamoDB.
type Store struct {
	DB    DynamoDB
	Table string
	// Sealer is needed by Save, Opener by Get.
	Sealer Sealer
	Opener Opener
}

// Get gives a channel's list; one that is not Known when none is kept.
func (s *Store) Get(ctx context.Context, accountID, channelID string) (List, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: key(channelID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return List{}, fmt.Errorf("get templates: %w", err)
	}
	l := List{SyncedAt: attr.Moment(out.Item, attrSynced), ChangedAt: attr.Moment(out.Item, attrChanged)}
	sealed, ok := out.Item[attrList].(*types.AttributeValueMemberB)
	if !ok {
		return List{ChangedAt: l.ChangedAt}, nil
	}
	packed, err := s.Opener.Open(accountID, purpose(channelID), sealed.Value)
	if err != nil {
		return List{}, fmt.Errorf("open templates of channel %s: %w", channelID, err)
	}
	if err := unpack(packed, &l); err != nil {
		return List{}, fmt.Errorf("templates of channel %s can't be read", channelID) // the cause could quote them
	}
	return l, nil
}

// Save keeps a list, unless a later one is kept already. It returns ErrTooLarge.
func (s *Store) Save(ctx context.Context, accountID, channelID string, l List) error {
	packed, err := pack(l)
	if err != nil {
		return fmt.Errorf("pack templates of channel %s: %w", channelID, err)
	}
	sealed, err := s.Sealer.Seal(accountID, purpose(channelID), packed)
	if err != nil {
		return fmt.Errorf("seal templates of channel %s: %w", channelID, err)
	}
	if len(sealed) > maxBytes {
		return ErrTooLarge
	}
	var u attr.Update
	u.Require(u.AbsentOr(attrSynced, "<", attr.Time(l.SyncedAt)))
	u.Set(attrList, &types.AttributeValueMemberB{Value: sealed})
	u.Set(attrSynced, attr.Time(l.SyncedAt))
	u.Set(attrTTL, ttl(l.SyncedAt))
	return s.update(ctx, channelID, &u)
}

// Changed notes that the provider told of a change at a time: what was asked for before is not Fresh any more.
func (s *Store) Changed(ctx context.Context, channelID string, at time.Time) error {
	var u attr.Update
	u.Require(u.AbsentOr(attrChanged, "<", attr.Time(at)))
	u.Set(attrChanged, attr.Time(at))
	u.Set(attrTTL, ttl(at))
	return s.update(ctx, channelID, &u)
}

// update writes what the condition allows. What it doesn't is no error: something later is there.
func (s *Store) update(ctx context.Context, channelID string, u *attr.Update) error {
	_, err := s.DB.UpdateItem(ctx, u.Input(s.Table, key(channelID)))
	if err != nil && !errors.As(err, new(*types.ConditionalCheckFailedException)) {
		return fmt.Errorf("write templates: %w", err)
	}
	return nil
}

func key(channelID string) attr.Item {
	return attr.Item{attrPK: attr.String(keyPrefix + channelID), attrSK: attr.String(listSort)}
}

func ttl(at time.Time) types.AttributeValue { return attr.Int(at.Add(keptFor).Unix()) }

// purpose binds a list to its channel.
func purpose(channelID string) string { return "templates " + channelID }

func pack(l List) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if err := json.NewEncoder(w).Encode(l.Templates); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unpack(packed []byte, l *List) error {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	return json.NewDecoder(r).Decode(&l.Templates)
}
