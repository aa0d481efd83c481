package recipient

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
)

// Flags tells who opted out, by conversation: no address is needed for that.
type Flags struct {
	DB    awsclient.BatchGetter
	Table string
}

// At is where the flag of a conversation lies, for who reads it together with other items: where there is an item, its recipient opted out.
func (f *Flags) At(accountID, conversation string) awsclient.Key {
	return awsclient.Key{Table: f.Table, Item: key(accountID, conversation, flagSort)}
}

// OptedOut tells which conversations of an account are closed by an opt-out: one request for each 100. Consistent reads cost
// twice as much and miss nothing that was written before.
func (f *Flags) OptedOut(ctx context.Context, accountID string, consistent bool, conversations ...string) (map[string]bool, error) {
	asked, out := map[string]bool{}, map[string]bool{}
	var keys []attr.Item
	for _, c := range conversations {
		if !asked[c] {
			asked[c] = true
			keys = append(keys, key(accountID, c, flagSort))
		}
	}
	items, err := batchGet(ctx, f.DB, f.Table, keys, consistent)
	for _, it := range items {
		out[attr.Text(it, attrPK)[len(accountID)+1:]] = true
	}
	return out, err
}

// Stops records the opt-outs that recipients make themselves.
type Stops struct {
	DB interface {
		TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
	}
	Table string
	Keys  id.ConversationKeyer
}

// Record notes that an address opted out of a channel. Doing it again changes nothing. One request.
func (s *Stops) Record(ctx context.Context, accountID, address string, o OptOut) error {
	writes := flagWrites(s.Table, s.Keys, accountID, address, o)
	for i := range writes { // the first opt-out is the one that counts
		writes[i].Put.ConditionExpression = aws.String("attribute_not_exists(#pk)")
		writes[i].Put.ExpressionAttributeNames = map[string]string{"#pk": attrPK}
	}
	_, err := s.DB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	if canceled := new(types.TransactionCanceledException); errors.As(err, &canceled) && there(canceled) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("record opt-out: %w", err)
	}
	return nil
}

// Lift takes back an opt-out that a recipient or its provider made, by the recipient's own word. One that the account
// entered stays, and none is none. One request.
func (s *Stops) Lift(ctx context.Context, accountID, address, channelID string) error {
	var writes []types.TransactWriteItem
	for _, k := range flagKeys(s.Keys, accountID, address, channelID) {
		writes = append(writes, types.TransactWriteItem{Delete: &types.Delete{
			TableName: &s.Table, Key: k, ConditionExpression: aws.String("#source <> :account"),
			ExpressionAttributeNames: map[string]string{"#source": attrSource}, ExpressionAttributeValues: attr.Item{":account": attr.String(string(ByAccount))},
		}})
	}
	_, err := s.DB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	if canceled := new(types.TransactionCanceledException); errors.As(err, &canceled) && there(canceled) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lift opt-out: %w", err)
	}
	return nil
}

func there(canceled *types.TransactionCanceledException) bool {
	for _, r := range canceled.CancellationReasons {
		if aws.ToString(r.Code) == "ConditionalCheckFailed" {
			return true
		}
	}
	return false
}

// flagWrites gives the two writes of one address's opt-out: by conversation, to be looked for, and by address, to be shown.
func flagWrites(table string, keys id.ConversationKeyer, accountID, address string, o OptOut) []types.TransactWriteItem {
	writes := make([]types.TransactWriteItem, 0, 2)
	for _, it := range flagKeys(keys, accountID, address, o.ChannelID) {
		it[attrSince], it[attrSource] = attr.Time(o.Since), attr.String(string(o.Source))
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: &table, Item: listed(it)}})
	}
	return writes
}

func flagKeys(keys id.ConversationKeyer, accountID, address, channelID string) []attr.Item {
	return []attr.Item{
		key(accountID, keys.Key(accountID, channelID, address), flagSort),
		key(accountID, keys.Key(accountID, addressScope, address), optOutPrefix+channelID),
	}
}

// OptOuts gives a recipient's opt-outs, the earliest for each channel. One request for each address, more when there are
// very many.
func (s *Store) OptOuts(ctx context.Context, r Recipient) ([]OptOut, error) {
	var list []OptOut
	at := map[string]int{}
	for _, a := range r.Addresses {
		found, err := s.optOutsOf(ctx, r.AccountID, a)
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			if i, ok := at[o.ChannelID]; !ok {
				at[o.ChannelID] = len(list)
				list = append(list, o)
			} else if o.Since.Before(list[i].Since) {
				list[i] = o
			}
		}
	}
	return list, nil
}

func (s *Store) optOutsOf(ctx context.Context, accountID, address string) ([]OptOut, error) {
	var list []OptOut
	in := &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("#pk = :pk AND begins_with(#sk, :optout)"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(accountID + "#" + s.AddressKey(accountID, address)), ":optout": attr.String(optOutPrefix)},
	}
	for {
		out, err := s.DB.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list opt-outs: %w", err)
		}
		for _, it := range out.Items {
			list = append(list, OptOut{ChannelID: strings.TrimPrefix(attr.Text(it, attrSK), optOutPrefix), Since: attr.Moment(it, attrSince), Source: OptOutSource(attr.Text(it, attrSource))})
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(out.LastEvaluatedKey) == 0 {
			return list, nil
		}
	}
}

// OptOut closes a channel for all addresses of a recipient, and gives the opt-out as it is then. One that holds for all of
// them already is not written again. It returns ErrChanged when the recipient changed meanwhile.
func (s *Store) OptOut(ctx context.Context, r Recipient, channelID string, e audit.Event) (OptOut, error) {
	o := OptOut{ChannelID: channelID, Since: s.Now().UTC().Truncate(time.Millisecond), Source: ByAccount}
	var missing []string
	before := map[string]any(nil)
	for _, a := range r.Addresses {
		has := false
		found, err := s.optOutsOf(ctx, r.AccountID, a)
		if err != nil {
			return o, err
		}
		for _, f := range found {
			if f.ChannelID == channelID {
				has = true
				if before == nil || f.Since.Before(o.Since) {
					o, before = f, map[string]any{"source": string(f.Source)}
				}
			}
		}
		if !has {
			missing = append(missing, a)
		}
	}
	if len(missing) == 0 && before != nil {
		return o, nil
	}
	changes := []types.TransactWriteItem{s.still(r)}
	for _, a := range missing {
		changes = append(changes, flagWrites(s.Table, s.Keys, r.AccountID, a, o)...)
	}
	e.Action, e.Target, e.Before, e.After = "recipient.opted_out", r.ID, before, map[string]any{"channel_id": channelID, "source": string(o.Source)}
	return o, s.refused(s.Audit.Write(ctx, e, changes...))
}

// LiftOptOut opens a channel again for all addresses of a recipient. It does nothing when it is open. It returns ErrChanged.
func (s *Store) LiftOptOut(ctx context.Context, r Recipient, channelID string, e audit.Event) error {
	list, err := s.OptOuts(ctx, r)
	if err != nil {
		return err
	}
	var found *OptOut
	for i, o := range list {
		if o.ChannelID == channelID {
			found = &list[i]
		}
	}
	if found == nil {
		return nil
	}
	changes := []types.TransactWriteItem{s.still(r)}
	for _, a := range r.Addresses {
		for _, k := range flagKeys(s.Keys, r.AccountID, a, channelID) {
			changes = append(changes, types.TransactWriteItem{Delete: &types.Delete{TableName: &s.Table, Key: k}})
		}
	}
	e.Action, e.Target, e.Before = "recipient.opt_out_lifted", r.ID, map[string]any{"channel_id": channelID, "source": string(found.Source)}
	return s.refused(s.Audit.Write(ctx, e, changes...))
}
