package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
)

const (
	attrBy     = "changed_by"
	attrAt     = "changed_at"
	attrReason = "reason"

	versionPrefix = "version#"
	putTries      = 6
	// pastAge bounds how long a version is kept in memory. It never changes; the bound is for the memory.
	pastAge = 24 * time.Hour
	// longestValue is how long a value may be, as JSON, that an audit event shows; a longer one is named by its hash.
	longestValue = 128
)

// The actions that Put writes to the audit log.
const (
	ActionAdded    = "provider.added"
	ActionChanged  = "provider.changed"
	ActionEnabled  = "provider.enabled"
	ActionDisabled = "provider.disabled"
	ActionRemoved  = "provider.removed"
)

// Put records a provider's entry over the one before. Its version, health and CreatedAt are the registry's own. The entry,
// its version and the audit event are one write; by names who does it and why. An entry that says the same as before
// changes nothing and writes no event. It returns the entry as it is now. Two requests, more when others change the
// entry at the same time.
func (s *Store) Put(ctx context.Context, e Entry, by audit.Event) (Entry, error) {
	for range putTries {
		old, err := s.Read(ctx, e.ID)
		known := err == nil
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Entry{}, err
		}
		if known && old.Same(e) {
			return old, nil
		}
		now := s.Now().UTC().Truncate(time.Millisecond)
		e.Version, e.CreatedAt = old.Version+1, now
		if known {
			e.CreatedAt = old.CreatedAt
		}
		e.Health = Health{State: Operational, Since: e.CreatedAt}
		changes, err := s.changes(Change{Entry: e, At: now, By: by.Actor.ID, Reason: by.Reason})
		if err != nil {
			return Entry{}, err
		}
		err = s.Audit.Write(ctx, event(by, old, e, known), changes...)
		if audit.AsRefused(err) != nil {
			continue // somebody else changed it just now
		}
		if err != nil {
			return Entry{}, fmt.Errorf("put provider: %w", err)
		}
		s.kept().Forget(e.ID)
		return e, nil
	}
	return Entry{}, fmt.Errorf("put provider: the entry of %s changed %d times meanwhile", e.ID, putTries)
}

// changes are the writes that make a version of an entry the one in force: on condition that it follows the one before.
func (s *Store) changes(c Change) ([]types.TransactWriteItem, error) {
	entry, err := encodeEntry(c.Entry)
	if err != nil {
		return nil, err
	}
	version, err := encodeEntry(c.Entry)
	if err != nil {
		return nil, err
	}
	version[attrSK], version[attrAt], version[attrBy] = attr.String(versionSort(c.Entry.Version)), attr.Time(c.At), attr.String(c.By)
	if c.Reason != "" {
		version[attrReason] = attr.String(c.Reason)
	}
	follows := &types.Put{
		TableName: &s.Table, Item: entry, ConditionExpression: aws.String("attribute_not_exists(#version)"), ExpressionAttributeNames: map[string]string{"#version": attrVersion},
	}
	if before := c.Entry.Version - 1; before > 0 {
		follows.ConditionExpression, follows.ExpressionAttributeValues = aws.String("#version = :before"), attr.Item{":before": attr.Int(before)}
	}
	return []types.TransactWriteItem{
		{Put: follows},
		{Put: &types.Put{TableName: &s.Table, Item: version, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK}}},
		{Put: &types.Put{TableName: &s.Table, Item: attr.Item{attrPK: attr.String(providersKey), attrSK: attr.String(c.Entry.ID)}}},
	}, nil
}

// event says what a change is, and shows what differs.
func event(by audit.Event, old, e Entry, known bool) audit.Event {
	by.AccountID, by.Target = "", e.ID // a provider is the operator's own affair
	by.Action = ActionChanged
	switch {
	case !known:
		by.Action = ActionAdded
	case old.Status == e.Status:
	case e.Status == Enabled:
		by.Action = ActionEnabled
	case e.Status == Disabled:
		by.Action = ActionDisabled
	default:
		by.Action = ActionRemoved
	}
	before, after := old.shown(), e.shown()
	by.After = map[string]any{"version": e.Version}
	if known {
		by.Before = map[string]any{"version": old.Version}
	}
	for name, value := range after {
		if known && short(before[name]) == short(value) {
			continue
		}
		by.After[name] = short(value)
		if known {
			by.Before[name] = short(before[name])
		}
	}
	return by
}

// shown are the fields that a person sets.
func (e Entry) shown() map[string]any {
	return map[string]any{
		"adapter": e.Adapter, "name": e.Name, "legal_entity": e.LegalEntity, "website": e.Website, "onboarding": e.Onboarding, "channel_types": e.ChannelTypes,
		"transfer_countries": e.TransferCountries, "documents": e.Documents, "terms_version": e.TermsVersion, "status": e.Status,
		"credential_fields": e.CredentialFields, "limits": e.Limits,
	}
}

// short gives a value as an audit event shows it: text as it is, the rest as JSON; a long one by its hash. The version's own
// item has it whole.
func short(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	if len(b) > longestValue {
		sum := sha256.Sum256(b)
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	return strings.Trim(string(b), `"`)
}

// Version gives what a provider's entry said at one version, or ErrNotFound. One request; none when it is in memory, for
// it never changes.
func (s *Store) Version(ctx context.Context, providerID string, version int64) (Change, error) {
	s.caches()
	return s.past.Load(fmt.Sprintf("%s#%d", providerID, version), func() (Change, error) {
		out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: attr.Item{
			attrPK: attr.String(providerPrefix + providerID), attrSK: attr.String(versionSort(version)),
		}})
		if err != nil {
			return Change{}, fmt.Errorf("get version of provider: %w", err)
		}
		if len(out.Item) == 0 {
			return Change{}, ErrNotFound
		}
		return decodeChange(out.Item)
	})
}

// Versions gives a page of what a provider's entry said, newest first. One strongly consistent request.
func (s *Store) Versions(ctx context.Context, providerID string, p attr.Page) (list []Change, next string, err error) {
	start, err := attr.Start(p.Token, map[string]string{attrPK: providerPrefix + providerID}, attrSK)
	if err != nil {
		return nil, "", err
	}
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(p.Size)), ExclusiveStartKey: start,
		KeyConditionExpression: aws.String(consistentPrefix), ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(providerPrefix + providerID), ":prefix": attr.String(versionPrefix)},
	})
	if err != nil {
		return nil, "", fmt.Errorf("list versions of provider: %w", err)
	}
	for _, it := range out.Items {
		c, err := decodeChange(it)
		if err != nil {
			return nil, "", err
		}
		list = append(list, c)
	}
	next, err = attr.Token(out.LastEvaluatedKey)
	return list, next, err
}

func decodeChange(it attr.Item) (Change, error) {
	e, err := decodeEntry(it)
	return Change{Entry: e, At: attr.Moment(it, attrAt), By: attr.Text(it, attrBy), Reason: attr.Text(it, attrReason)}, err
}

// versionSort sorts as the number does.
func versionSort(version int64) string { return fmt.Sprintf("%s%012d", versionPrefix, version) }
