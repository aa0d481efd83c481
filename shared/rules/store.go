package rules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
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

// Items: pk "rules", sk "version#<version>": a version. pk "rules", sk "schedule": when each version comes into force, one
// attribute "v:<version>" each, so that finding the one in force is one read. pk account id, sk "acceptance#<id>": an
// acceptance, never changed. pk account id, sk "accepted#<version>": the account accepted this version.
const (
	attrPK           = "pk"
	attrSK           = "sk"
	attrBody         = "body"
	attrRulesVersion = "rules_version"
	attrDocuments    = "documents"
	attrCapacity     = "capacity"
	attrEntity       = "legal_entity_name"
	attrUser         = "user_id"
	attrSourceIP     = "source_ip"
	attrAt           = "accepted_at"
	attrKind         = "kind"

	rulesPartition   = "rules"
	scheduleSort     = "schedule"
	schedulePrefix   = "v:"
	versionPrefix    = "version#"
	acceptancePrefix = "acceptance#"
	acceptedPrefix   = "accepted#"
)

const (
	// CurrentAge is how old the answer of Current may be.
	CurrentAge = 5 * time.Second
	// acceptedAge is long: an acceptance is never taken back.
	acceptedAge = time.Hour
	cacheSize   = 10_000
	// maxVersions bounds the cache of versions, which never change.
	maxVersions = 100
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Store keeps the Rules and their acceptances. It is safe for concurrent use; don't copy it.
type Store struct {
	DB    DynamoDB
	Table string
	Now   func() time.Time
	// Audit is needed by the methods that take an event: what a person does is written together with it.
	Audit *audit.Log

	once     sync.Once
	schedule *cache.Cache[string, map[string]time.Time]
	versions *cache.Cache[string, Version]
	accepted *cache.Cache[string, bool]
}

func (s *Store) prepare() {
	s.once.Do(func() {
		s.schedule = cache.New[string, map[string]time.Time](CurrentAge, 1, s.Now)
		s.versions = cache.New[string, Version](acceptedAge, maxVersions, s.Now)
		s.accepted = cache.New[string, bool](acceptedAge, cacheSize, s.Now)
	})
}

// Current gives the version in force: the one that came into force last. What was published more than CurrentAge ago is
// seen. It returns ErrNoneInForce when there is none. Two requests, none when the answer is kept.
func (s *Store) Current(ctx context.Context) (Version, error) {
	s.prepare()
	schedule, err := s.schedule.Load(scheduleSort, func() (map[string]time.Time, error) { return s.readSchedule(ctx) })
	if err != nil {
		return Version{}, err
	}
	current := ""
	for version, at := range schedule {
		if at.After(s.Now()) {
			continue
		}
		if newest := schedule[current]; current == "" || at.After(newest) || at.Equal(newest) && version > current {
			current = version
		}
	}
	if current == "" {
		return Version{}, ErrNoneInForce
	}
	return s.Get(ctx, current)
}

// List gives the published versions, also those that are not in force yet, the one that comes into force last first. One
// request, and one for each version that was not read before.
func (s *Store) List(ctx context.Context, p attr.Page) (list []Version, next string, err error) {
	s.prepare()
	start, err := attr.Start(p.Token, nil, "after")
	if err != nil {
		return nil, "", err
	}
	schedule, err := s.readSchedule(ctx)
	if err != nil {
		return nil, "", err
	}
	names := slices.SortedFunc(maps.Keys(schedule), func(a, b string) int {
		return cmp.Or(schedule[b].Compare(schedule[a]), cmp.Compare(b, a))
	})
	if after := attr.Text(start, "after"); after != "" {
		at := slices.Index(names, after)
		if at < 0 {
			return nil, "", attr.ErrToken
		}
		names = names[at+1:]
	}
	if len(names) > p.Size {
		names = names[:p.Size]
		if next, err = attr.Token(attr.Item{"after": attr.String(names[p.Size-1])}); err != nil {
			return nil, "", err
		}
	}
	for _, name := range names {
		v, err := s.Get(ctx, name)
		if err != nil {
			return nil, "", err
		}
		list = append(list, v)
	}
	return list, next, nil
}

func (s *Store) readSchedule(ctx context.Context) (map[string]time.Time, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: rulesKey(scheduleSort), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("get schedule of the Rules: %w", err)
	}
	schedule := map[string]time.Time{}
	for name := range out.Item {
		if version, ok := strings.CutPrefix(name, schedulePrefix); ok {
			schedule[version] = attr.Moment(out.Item, name)
		}
	}
	return schedule, nil
}

// Get gives a published version, or ErrNotFound.
func (s *Store) Get(ctx context.Context, version string) (Version, error) {
	s.prepare()
	return s.versions.Load(version, func() (Version, error) {
		out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: rulesKey(versionPrefix + version), ConsistentRead: aws.Bool(true)})
		if err != nil {
			return Version{}, fmt.Errorf("get version of the Rules: %w", err)
		}
		if len(out.Item) == 0 {
			return Version{}, ErrNotFound
		}
		var v Version
		err = attr.FromJSON(out.Item, attrBody, &v)
		return v, err
	})
}

// Publish makes a version known, for good, and notes when. Publishing the same again changes nothing; with another body it returns
// ErrPublished. One request.
func (s *Store) Publish(ctx context.Context, v Version, e audit.Event) error {
	s.prepare()
	v.EffectiveAt, v.PublishedAt = v.EffectiveAt.UTC().Truncate(time.Millisecond), s.Now().UTC().Truncate(time.Millisecond)
	body, err := attr.JSON(v)
	if err != nil {
		return err
	}
	it := rulesKey(versionPrefix + v.Version)
	it[attrBody] = body
	e.Action, e.Target, e.RulesVersion = "rules.published", v.Version, v.Version
	e.After = map[string]any{"effective_at": v.EffectiveAt.Format(time.RFC3339), "acceptance": string(v.Acceptance())}
	err = s.Audit.Write(ctx, e,
		types.TransactWriteItem{Put: &types.Put{
			TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
		}},
		types.TransactWriteItem{Update: &types.Update{
			TableName: &s.Table, Key: rulesKey(scheduleSort), UpdateExpression: aws.String("SET #v = :at"),
			ExpressionAttributeNames: map[string]string{"#v": schedulePrefix + v.Version}, ExpressionAttributeValues: attr.Item{":at": attr.Time(v.EffectiveAt)},
		}})
	if refused := audit.AsRefused(err); refused != nil {
		var old Version
		if err := attr.FromJSON(refused.Item, attrBody, &old); err != nil {
			return err
		}
		if !old.Same(v) {
			return ErrPublished
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("publish version of the Rules: %w", err)
	}
	s.schedule.Forget(scheduleSort)
	return nil
}

// Accept records an acceptance that a user expressed: one request. The same one again changes nothing.
func (s *Store) Accept(ctx context.Context, a Acceptance, e audit.Event) error {
	record, note, err := s.acceptance(a)
	if err != nil {
		return err
	}
	e.Action, e.AccountID, e.Target, e.RulesVersion = "rules.accepted", a.AccountID, a.ID, a.RulesVersion
	e.After = map[string]any{"rules_version": a.RulesVersion, "capacity": string(a.Capacity)}
	err = s.Audit.Write(ctx, e, types.TransactWriteItem{Put: record}, types.TransactWriteItem{Put: note})
	if err != nil && audit.AsRefused(err) == nil {
		return fmt.Errorf("record acceptance: %w", err)
	}
	return nil
}

// acceptance gives the two items of an acceptance: the record, which is never changed, and the note that there is one.
func (s *Store) acceptance(a Acceptance) (record, note *types.Put, err error) {
	documents, err := attr.JSON(a.Documents)
	if err != nil {
		return nil, nil, err
	}
	it := attr.Item{
		attrPK: attr.String(a.AccountID), attrSK: attr.String(acceptancePrefix + a.ID), attrRulesVersion: attr.String(a.RulesVersion), attrDocuments: documents,
		attrCapacity: attr.String(string(a.Capacity)), attrUser: attr.String(a.UserID), attrSourceIP: attr.String(a.SourceIP), attrAt: attr.Time(a.At),
	}
	if a.LegalEntityName != "" {
		it[attrEntity] = attr.String(a.LegalEntityName)
	}
	if a.Kind == ByUse {
		it[attrKind] = attr.String(string(ByUse))
	}
	record = &types.Put{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	}
	note = &types.Put{TableName: &s.Table, Item: attr.Item{
		attrPK: attr.String(a.AccountID), attrSK: attr.String(acceptedPrefix + a.RulesVersion), attrAt: attr.Time(a.At),
	}}
	return record, note, nil
}

// noteUse records an acceptance by use: two requests, the record before anything counts on it. It is no act of its own but
// what an act means, so it has no audit event: the record says who acted and when.
func (s *Store) noteUse(ctx context.Context, a Acceptance) error {
	record, note, err := s.acceptance(a)
	if err != nil {
		return err
	}
	_, err = s.DB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: record.TableName, Item: record.Item, ConditionExpression: record.ConditionExpression, ExpressionAttributeNames: record.ExpressionAttributeNames,
	})
	if refused := new(types.ConditionalCheckFailedException); err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("record acceptance: %w", err)
	}
	if _, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{TableName: note.TableName, Item: note.Item}); err != nil {
		return fmt.Errorf("note acceptance: %w", err)
	}
	return nil
}

// Accepted reports whether an account accepted a version. That it did is kept in memory; that it did not never is.
func (s *Store) Accepted(ctx context.Context, accountID, version string) (bool, error) {
	s.prepare()
	key := accountID + "#" + version
	if ok, _ := s.accepted.Get(key); ok {
		return true, nil
	}
	at := s.Now()
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.Table, Key: attr.Item{attrPK: attr.String(accountID), attrSK: attr.String(acceptedPrefix + version)}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return false, fmt.Errorf("look for acceptance: %w", err)
	}
	if len(out.Item) == 0 {
		return false, nil
	}
	s.accepted.Put(key, true, at)
	return true, nil
}

// Acceptances lists an account's acceptances, newest first.
func (s *Store) Acceptances(ctx context.Context, accountID string, p attr.Page) (list []Acceptance, next string, err error) {
	start, err := attr.Start(p.Token, map[string]string{attrPK: accountID}, attrSK)
	if err != nil {
		return nil, "", err
	}
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(p.Size)), ExclusiveStartKey: start,
		KeyConditionExpression:    aws.String("#pk = :pk AND begins_with(#sk, :acceptance)"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(accountID), ":acceptance": attr.String(acceptancePrefix)},
	})
	if err != nil {
		return nil, "", fmt.Errorf("list acceptances: %w", err)
	}
	for _, it := range out.Items {
		a := Acceptance{
			ID: strings.TrimPrefix(attr.Text(it, attrSK), acceptancePrefix), AccountID: accountID, RulesVersion: attr.Text(it, attrRulesVersion),
			Capacity: Capacity(attr.Text(it, attrCapacity)), LegalEntityName: attr.Text(it, attrEntity),
			UserID: attr.Text(it, attrUser), SourceIP: attr.Text(it, attrSourceIP), At: attr.Moment(it, attrAt), Kind: ByRequest,
		}
		if attr.Text(it, attrKind) == string(ByUse) {
			a.Kind = ByUse
		}
		if err := attr.FromJSON(it, attrDocuments, &a.Documents); err != nil {
			return nil, "", err
		}
		list = append(list, a)
	}
	next, err = attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

func rulesKey(sort string) attr.Item {
	return attr.Item{attrPK: attr.String(rulesPartition), attrSK: attr.String(sort)}
}
