package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/cache"
)

// Items: pk "provider#<id>", sk "registry": an entry. pk "providers", sk id: the list of providers. pk "provider#<id>",
// sk "sender#<sender id>": a sender of the pool; sk "version#<number>": what an entry said at one version, never changed.
const (
	attrPK           = "pk"
	attrSK           = "sk"
	attrAdapter      = "adapter"
	attrName         = "name"
	attrLegalEntity  = "legal_entity"
	attrWebsite      = "website"
	attrOnboarding   = "onboarding"
	attrTypes        = "channel_types"
	attrCountries    = "transfer_countries"
	attrDocuments    = "documents"
	attrTerms        = "terms_version"
	attrStatus       = "status"
	attrCredentials  = "credential_fields"
	attrCreated      = "created_at"
	attrVersion      = "version"
	attrLimits       = "limits"
	attrAddress      = "address"
	attrChannel      = "channel_id"
	attrTaken        = "taken_at"
	attrFreed        = "freed_at"
	providersKey     = "providers"
	providerPrefix   = "provider#"
	registrySort     = "registry"
	senderPrefix     = "sender#"
	senderPage       = 200
	takeRounds       = 8
	cacheSize        = 256
	consistentPrefix = "#pk = :pk AND begins_with(#sk, :prefix)"
)

const (
	// CacheAge is how old an entry may be that Get gives. A switch must reach every call to a provider within 5 s; the
	// rest is for the way from the look at the entry to the call.
	CacheAge = 4 * time.Second
	// RecentAge is how old an entry may be that Recent gives.
	RecentAge = time.Second
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Store keeps the registry. It is safe for concurrent use; don't copy it.
type Store struct {
	DB    DynamoDB
	Table string
	Now   func() time.Time
	// Audit is needed by the methods that take an event; who only reads needs none.
	Audit *audit.Log

	once    sync.Once
	entries *cache.Cache[string, Entry]
	past    *cache.Cache[string, Change]
}

func (s *Store) caches() {
	s.once.Do(func() {
		s.entries = cache.New[string, Entry](CacheAge, cacheSize, s.Now)
		s.past = cache.New[string, Change](pastAge, cacheSize, s.Now)
	})
}

func (s *Store) kept() *cache.Cache[string, Entry] {
	s.caches()
	return s.entries
}

// Get gives a provider's entry, at most CacheAge old, or ErrNotFound.
func (s *Store) Get(ctx context.Context, providerID string) (Entry, error) {
	return s.kept().Load(providerID, func() (Entry, error) { return s.Read(ctx, providerID) })
}

// Recent gives a provider's entry, at most RecentAge old, or ErrNotFound: for those who would keep messages waiting.
func (s *Store) Recent(ctx context.Context, providerID string) (Entry, error) {
	return s.kept().LoadWithin(providerID, RecentAge, func() (Entry, error) { return s.Read(ctx, providerID) })
}

// Read gives a provider's entry as it is now, or ErrNotFound. One request.
func (s *Store) Read(ctx context.Context, providerID string) (Entry, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: entryKey(providerID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Entry{}, fmt.Errorf("get provider: %w", err)
	}
	if len(out.Item) == 0 {
		return Entry{}, ErrNotFound
	}
	return decodeEntry(out.Item)
}

// List gives all providers, by id; each entry at most RecentAge old. One request, and one for each entry that is not kept.
func (s *Store) List(ctx context.Context) ([]Entry, error) {
	in := &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("#pk = :pk"),
		ExpressionAttributeNames: map[string]string{"#pk": attrPK}, ExpressionAttributeValues: attr.Item{":pk": attr.String(providersKey)},
	}
	var list []Entry
	for { // more than one request only for more names than 1 MB holds
		out, err := s.DB.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list providers: %w", err)
		}
		for _, it := range out.Items {
			e, err := s.Recent(ctx, attr.Text(it, attrSK))
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(out.LastEvaluatedKey) == 0 {
			return list, nil
		}
	}
}

// PutSender adds a sender to a provider's pool, or changes the address of a free one; with the address that it has
// already, it changes nothing. It returns ErrSenderInUse when the sender belongs to a channel and has another address.
func (s *Store) PutSender(ctx context.Context, providerID string, sender Sender, e audit.Event) (Sender, error) {
	const tries = 5
	key := senderKey(providerID, sender.ID)
	e.Action, e.Target, e.After = "sender.changed", sender.ID, map[string]any{"provider_id": providerID, "in_pool": true}
	for range tries {
		out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: key, ConsistentRead: aws.Bool(true)})
		if err != nil {
			return Sender{}, fmt.Errorf("get sender: %w", err)
		}
		was := decodeSender(out.Item)
		update := &types.Update{
			TableName: &s.Table, Key: key, UpdateExpression: aws.String("SET #address = :address"),
			ConditionExpression:       aws.String("attribute_not_exists(#address)"),
			ExpressionAttributeNames:  map[string]string{"#address": attrAddress},
			ExpressionAttributeValues: attr.Item{":address": attr.String(sender.Address)},
		}
		if len(out.Item) > 0 {
			if was.Address == sender.Address {
				return was, nil
			}
			if was.ChannelID != "" {
				return Sender{}, ErrSenderInUse
			}
			update.ConditionExpression = aws.String("attribute_not_exists(#channel) AND #address = :was")
			update.ExpressionAttributeNames["#channel"], update.ExpressionAttributeValues[":was"] = attrChannel, attr.String(was.Address)
			e.Before, e.After["address_changed"] = map[string]any{"provider_id": providerID, "in_pool": true}, true
		}
		err = s.Audit.Write(ctx, e, types.TransactWriteItem{Update: update})
		if audit.AsRefused(err) != nil {
			continue // somebody else took it or changed it just now
		}
		if err != nil {
			return Sender{}, fmt.Errorf("put sender: %w", err)
		}
		return Sender{ID: sender.ID, Address: sender.Address}, nil
	}
	return Sender{}, fmt.Errorf("put sender: it changed %d times meanwhile", tries)
}

// Senders gives a page of a provider's pool, by id.
func (s *Store) Senders(ctx context.Context, providerID string, p attr.Page) (list []Sender, next string, err error) {
	start, err := attr.Start(p.Token, map[string]string{attrPK: providerPrefix + providerID}, attrSK)
	if err != nil {
		return nil, "", err
	}
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(p.Size)), ExclusiveStartKey: start, KeyConditionExpression: aws.String(consistentPrefix),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(providerPrefix + providerID), ":prefix": attr.String(senderPrefix)},
	})
	if err != nil {
		return nil, "", fmt.Errorf("list senders: %w", err)
	}
	for _, it := range out.Items {
		list = append(list, decodeSender(it))
	}
	next, err = attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

// TakeSender gives a channel the sender of the pool that is free for the longest, or the one that it has. No two channels ever get the
// same. It returns ErrNoSender when none is free, a *RestingError when those that are still rest. The request for the pool, and one for
// each sender that it tries.
func (s *Store) TakeSender(ctx context.Context, providerID, channelID string) (Sender, error) {
	for range takeRounds {
		free, own, err := s.free(ctx, providerID, channelID)
		if err != nil {
			return Sender{}, err
		}
		if own != nil {
			return *own, nil
		}
		if len(free) == 0 {
			return Sender{}, ErrNoSender
		}
		if rested := free[0].FreedAt.Add(Rest); rested.After(s.Now()) {
			return Sender{}, &RestingError{Until: rested}
		}
		for _, sender := range free {
			taken, err := s.take(ctx, providerID, sender.ID, channelID)
			if err == nil {
				return taken, nil
			}
			if !errors.Is(err, ErrSenderInUse) {
				return Sender{}, err
			}
		}
	}
	return Sender{}, ErrNoSender
}

// free gives the free senders, those first that are free for the longest, those that never were a channel's in an order of the channel's
// own so that channels made at once try different ones, and the sender that the channel has already.
func (s *Store) free(ctx context.Context, providerID, channelID string) (free []Sender, own *Sender, err error) {
	err = s.eachSender(ctx, providerID, func(sender Sender) {
		switch sender.ChannelID {
		case channelID:
			own = &sender
		case "":
			free = append(free, sender)
		}
	})
	shuffle(free, channelID)
	slices.SortStableFunc(free, func(a, b Sender) int { return a.FreedAt.Compare(b.FreedAt) })
	return free, own, err
}

func (s *Store) take(ctx context.Context, providerID, senderID, channelID string) (Sender, error) {
	now := s.Now()
	out, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: senderKey(providerID, senderID),
		UpdateExpression:          aws.String("SET #channel = :channel, #taken = :now REMOVE #freed"),
		ConditionExpression:       aws.String("attribute_exists(#pk) AND (attribute_not_exists(#channel) AND (attribute_not_exists(#freed) OR #freed <= :rested) OR #channel = :channel)"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#channel": attrChannel, "#taken": attrTaken, "#freed": attrFreed},
		ExpressionAttributeValues: attr.Item{":channel": attr.String(channelID), ":now": attr.Time(now), ":rested": attr.Time(now.Add(-Rest))}, ReturnValues: types.ReturnValueAllNew,
	})
	if refused := new(types.ConditionalCheckFailedException); errors.As(err, &refused) {
		return Sender{}, ErrSenderInUse
	}
	if err != nil {
		return Sender{}, fmt.Errorf("take sender: %w", err)
	}
	return decodeSender(out.Attributes), nil
}

// FreeSender gives a sender back to the pool, if it is that channel's, where it rests first. It reports whether it was.
func (s *Store) FreeSender(ctx context.Context, providerID, senderID, channelID string) (bool, error) {
	_, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: senderKey(providerID, senderID),
		UpdateExpression: aws.String("SET #freed = :now REMOVE #channel, #taken"), ConditionExpression: aws.String("#channel = :channel"),
		ExpressionAttributeNames:  map[string]string{"#channel": attrChannel, "#taken": attrTaken, "#freed": attrFreed},
		ExpressionAttributeValues: attr.Item{":channel": attr.String(channelID), ":now": attr.Time(s.Now())},
	})
	if refused := new(types.ConditionalCheckFailedException); errors.As(err, &refused) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("free sender: %w", err)
	}
	return true, nil
}

const (
	// reclaimAge is how long a sender must be taken before anybody asks whether its channel exists: longer than any
	// function that takes one may run.
	reclaimAge = 5 * time.Minute
	// reclaimMost bounds how many senders one call asks about; the next call asks about others.
	reclaimMost = 100
)

// ReclaimSenders gives back senders whose channel is gone, which a function that was cut short leaves behind. Gone says
// of a channel whether it is. ChannelID only chooses which senders are looked at, when there are many. It returns how
// many came free.
func (s *Store) ReclaimSenders(ctx context.Context, providerID, channelID string, gone func(ctx context.Context, channelID string) (bool, error)) (int, error) {
	var held []Sender
	err := s.eachSender(ctx, providerID, func(sender Sender) {
		if sender.ChannelID != "" && s.Now().Sub(sender.TakenAt) >= reclaimAge {
			held = append(held, sender)
		}
	})
	if err != nil {
		return 0, err
	}
	shuffle(held, channelID)
	n := 0
	for _, sender := range held[:min(len(held), reclaimMost)] {
		is, err := gone(ctx, sender.ChannelID)
		if err != nil {
			return n, err
		}
		if !is {
			continue
		}
		freed, err := s.FreeSender(ctx, providerID, sender.ID, sender.ChannelID)
		if err != nil {
			return n, err
		}
		if freed {
			n++
		}
	}
	return n, nil
}

// eachSender goes through a provider's pool.
func (s *Store) eachSender(ctx context.Context, providerID string, see func(Sender)) error {
	page := attr.Page{Size: senderPage}
	for {
		list, next, err := s.Senders(ctx, providerID, page)
		if err != nil {
			return err
		}
		for _, sender := range list {
			see(sender)
		}
		if page.Token = next; next == "" {
			return nil
		}
	}
}

// shuffle puts senders in an order of the channel's own, always the same.
func shuffle(list []Sender, channelID string) {
	order := make(map[string]string, len(list))
	for _, sender := range list {
		h := sha256.Sum256([]byte(channelID + "#" + sender.ID))
		order[sender.ID] = string(h[:])
	}
	slices.SortFunc(list, func(a, b Sender) int { return strings.Compare(order[a.ID], order[b.ID]) })
}

func entryKey(providerID string) attr.Item {
	return attr.Item{attrPK: attr.String(providerPrefix + providerID), attrSK: attr.String(registrySort)}
}

func senderKey(providerID, senderID string) attr.Item {
	return attr.Item{attrPK: attr.String(providerPrefix + providerID), attrSK: attr.String(senderPrefix + senderID)}
}

func encodeEntry(e Entry) (attr.Item, error) {
	limits, err := attr.JSON(e.Limits)
	if err != nil {
		return nil, err
	}
	documents, err := attr.JSON(e.Documents)
	if err != nil {
		return nil, err
	}
	fields, err := attr.JSON(e.CredentialFields)
	if err != nil {
		return nil, err
	}
	it := entryKey(e.ID)
	it[attrName], it[attrLegalEntity], it[attrWebsite] = attr.String(e.Name), attr.String(e.LegalEntity), attr.String(e.Website)
	it[attrOnboarding], it[attrTypes], it[attrCountries] = attr.String(string(e.Onboarding)), attr.Strings(e.ChannelTypes), attr.Strings(e.TransferCountries)
	it[attrDocuments], it[attrTerms], it[attrStatus] = documents, attr.String(e.TermsVersion), attr.String(string(e.Status))
	it[attrCredentials], it[attrCreated], it[attrVersion] = fields, attr.Time(e.CreatedAt), attr.Int(e.Version)
	it[attrLimits] = limits
	if e.Adapter != "" {
		it[attrAdapter] = attr.String(e.Adapter)
	}
	return it, nil
}

func decodeEntry(it attr.Item) (Entry, error) {
	e := Entry{
		ID: strings.TrimPrefix(attr.Text(it, attrPK), providerPrefix), Name: attr.Text(it, attrName), LegalEntity: attr.Text(it, attrLegalEntity),
		Website: attr.Text(it, attrWebsite), Onboarding: Onboarding(attr.Text(it, attrOnboarding)), ChannelTypes: attr.Texts(it, attrTypes),
		TransferCountries: attr.Texts(it, attrCountries), TermsVersion: attr.Text(it, attrTerms), Status: Status(attr.Text(it, attrStatus)),
		CreatedAt: attr.Moment(it, attrCreated), Version: attr.Number(it, attrVersion), Adapter: attr.Text(it, attrAdapter),
	}
	e.Health = Health{State: Operational, Since: e.CreatedAt}
	for name, v := range map[string]any{attrDocuments: &e.Documents, attrLimits: &e.Limits} {
		if err := attr.FromJSON(it, name, v); err != nil {
			return Entry{}, err
		}
	}
	return e, attr.FromJSON(it, attrCredentials, &e.CredentialFields)
}

func decodeSender(it attr.Item) Sender {
	return Sender{
		ID: strings.TrimPrefix(attr.Text(it, attrSK), senderPrefix), Address: attr.Text(it, attrAddress),
		ChannelID: attr.Text(it, attrChannel), TakenAt: attr.Moment(it, attrTaken), FreedAt: attr.Moment(it, attrFreed),
	}
}
