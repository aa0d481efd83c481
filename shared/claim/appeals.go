package claim

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
)

const (
	attrRestriction = "restriction_id"
	attrCreatedBy   = "created_by"
	attrText        = "text"
	attrOpen        = "open"

	appealSort   = "appeal"
	appealedSort = "appealed"
	ofAppeals    = "appeal#"
	ofAppealed   = "appealed#"

	appealPurpose = "appeal"
)

// AppealStatus is where an appeal stands.
type AppealStatus string

// The statuses of an appeal.
const (
	AppealOpen     AppealStatus = "open"
	AppealAccepted AppealStatus = "accepted"
	AppealDeclined AppealStatus = "declined"
)

// AppealStatuses are all statuses of an appeal.
func AppealStatuses() []AppealStatus {
	return []AppealStatus{AppealOpen, AppealAccepted, AppealDeclined}
}

// May reports whether an appeal may go from one status to another: an open one is decided, a decided one may be opened again.
func (s AppealStatus) May(next AppealStatus) bool {
	return (s == AppealOpen) != (next == AppealOpen)
}

// Appeal is what an account says against a restriction, without the text: see Appeals.Text.
type Appeal struct {
	ID            string
	AccountID     string
	RestrictionID string
	Status        AppealStatus
	// Reason is the operator's words on it; the account sees them.
	Reason    string
	CreatedBy string
	CreatedAt time.Time
	ChangedAt time.Time

	version int64
	text    []byte // sealed
}

// Appeals keeps accounts' appeals against restrictions. One of each restriction is open at a time: an item beside the appeals,
// "appealed", says whether one is.
type Appeals struct {
	DB     DynamoDB
	Table  string
	Sealer Sealer
	// Opener is the operator's: whoever takes appeals in has none.
	Opener Opener
	Audit  *audit.Log
	Now    func() time.Time
}

// Open records a new appeal with its text, open, together with its audit event. The text is sealed for the appeal's own id. It
// returns ErrStatus when another of the same restriction is open. One request.
func (s *Appeals) Open(ctx context.Context, a Appeal, text string, e audit.Event) (Appeal, error) {
	sealed, err := s.Sealer.Seal(a.ID, appealPurpose, []byte(text))
	if err != nil {
		return Appeal{}, err
	}
	now := s.Now().UTC().Truncate(time.Millisecond)
	a.Status, a.CreatedAt, a.ChangedAt, a.version = AppealOpen, now, now, 1
	it := key(a.ID, appealSort)
	maps.Copy(it, until(now))
	it[attrListKey], it[attrListSort] = attr.String(ofAppeals+string(a.Status)), attr.String(a.ID)
	it[attrOwnerKey], it[attrOwnerSort], it[attrAccount] = attr.String(ofAppeals+a.AccountID), attr.String(a.ID), attr.String(a.AccountID)
	it[attrStatus], it[attrVersion], it[attrCreated], it[attrChanged] = attr.String(string(a.Status)), attr.Int(1), attr.Time(now), attr.Time(now)
	it[attrRestriction], it[attrCreatedBy], it[attrText] = attr.String(a.RestrictionID), attr.String(a.CreatedBy), &types.AttributeValueMemberB{Value: sealed}
	e.AccountID, e.Action, e.Target = a.AccountID, "restriction.appealed", a.RestrictionID
	e.After = map[string]any{"appeal_id": a.ID, "status": string(a.Status)}
	put := types.TransactWriteItem{Put: &types.Put{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	}}
	err = s.Audit.Write(ctx, e, put, s.theOpen(a, now))
	if audit.AsRefused(err) != nil {
		err = ErrStatus
	}
	return a, err
}

// theOpen makes an appeal the open one of its restriction, if there is none.
func (s *Appeals) theOpen(a Appeal, now time.Time) types.TransactWriteItem {
	it := key(ofAppealed+a.RestrictionID, appealedSort)
	maps.Copy(it, until(now))
	it[attrOpen] = attr.String(a.ID)
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#open)"), ExpressionAttributeNames: map[string]string{"#open": attrOpen},
	}}
}

// noneOpen says that a restriction has no open appeal any more.
func (s *Appeals) noneOpen(a Appeal) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &s.Table, Key: key(ofAppealed+a.RestrictionID, appealedSort), UpdateExpression: aws.String("REMOVE #open"),
		ConditionExpression: aws.String("#open = :this"), ExpressionAttributeNames: map[string]string{"#open": attrOpen},
		ExpressionAttributeValues: attr.Item{":this": attr.String(a.ID)},
	}}
}

// Get gives an appeal, or ErrNotFound. One request.
func (s *Appeals) Get(ctx context.Context, id string) (Appeal, error) {
	it, err := get(ctx, s.DB, s.Table, id, appealSort, s.Now())
	if err != nil {
		return Appeal{}, err
	}
	return decodeAppeal(it), nil
}

// Text gives what the account wrote. No request.
func (s *Appeals) Text(a Appeal) (string, error) {
	plain, err := s.Opener.Open(a.ID, appealPurpose, a.text)
	if err != nil {
		return "", fmt.Errorf("open appeal: %w", err)
	}
	return string(plain), nil
}

// WhichAppeals are the appeals that a list is to have; "": any.
type WhichAppeals struct {
	AccountID     string
	RestrictionID string
	Status        AppealStatus
}

// List gives appeals, newest first. Up to one request for each status.
func (s *Appeals) List(ctx context.Context, w WhichAppeals, p attr.Page) (list []Appeal, next string, err error) {
	now := s.Now()
	r := reader{db: s.DB, table: s.Table, index: listed(), keep: func(it attr.Item) bool {
		return !gone(it, now) && (w.Status == "" || attr.Text(it, attrStatus) == string(w.Status)) && (w.RestrictionID == "" || attr.Text(it, attrRestriction) == w.RestrictionID)
	}}
	var partitions []string
	for _, st := range AppealStatuses() {
		if w.Status == "" || st == w.Status {
			partitions = append(partitions, ofAppeals+string(st))
		}
	}
	if w.AccountID != "" {
		r.index, partitions = byOwner(), []string{ofAppeals + w.AccountID}
	}
	items, next, err := r.newest(ctx, partitions, p)
	for _, it := range items {
		list = append(list, decodeAppeal(it))
	}
	return list, next, err
}

// Decide records what the operator makes of an appeal, together with its audit event, which the account sees. Nothing else
// follows by itself: lifting the restriction is an act of its own. It returns ErrStatus for a status that may not follow,
// ErrChanged when somebody else was faster, or another appeal of the same restriction is open by now. One request.
func (s *Appeals) Decide(ctx context.Context, a Appeal, status AppealStatus, reason string, e audit.Event) (Appeal, error) {
	if !a.Status.May(status) {
		return Appeal{}, ErrStatus
	}
	was := a
	a.Status, a.Reason, a.ChangedAt, a.version = status, reason, s.Now().UTC().Truncate(time.Millisecond), was.version+1
	set := until(a.ChangedAt)
	set[attrStatus], set[attrListKey] = attr.String(string(status)), attr.String(ofAppeals+string(status))
	set[attrReason], set[attrChanged] = attr.String(reason), attr.Time(a.ChangedAt)
	e.AccountID, e.Action, e.Target, e.Reason = a.AccountID, "appeal.decided", a.RestrictionID, reason
	e.Before, e.After = map[string]any{"appeal_id": a.ID, "status": string(was.Status)}, map[string]any{"appeal_id": a.ID, "status": string(status)}
	beside := s.noneOpen(a)
	if status == AppealOpen {
		beside = s.theOpen(a, a.ChangedAt)
	}
	return a, written(s.Audit.Write(ctx, e, types.TransactWriteItem{Update: guarded(s.Table, a.ID, appealSort, was.version, set)}, beside))
}

func decodeAppeal(it attr.Item) Appeal {
	return Appeal{
		ID: attr.Text(it, attrPK), AccountID: attr.Text(it, attrAccount), RestrictionID: attr.Text(it, attrRestriction), Status: AppealStatus(attr.Text(it, attrStatus)),
		Reason: attr.Text(it, attrReason), CreatedBy: attr.Text(it, attrCreatedBy), CreatedAt: attr.Moment(it, attrCreated), ChangedAt: attr.Moment(it, attrChanged),
		version: attr.Number(it, attrVersion), text: raw(it, attrText),
	}
}
