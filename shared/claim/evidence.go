package claim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
)

const (
	attrReason      = "reason"
	attrDue         = "due_at"
	attrRecipients  = "recipient_ids"
	attrFrom        = "from"
	attrTo          = "to"
	attrComplaint   = "complaint_id"
	attrSubmissions = "submissions"
	attrBody        = "body"

	evidenceSort   = "evidence"
	submissionSort = "submission#"
	ofEvidence     = "evidence#"
)

// maxOverdue bounds how many overdue requests Overdue counts.
const maxOverdue = 100

// Requests keeps evidence requests. Every method is one request to DynamoDB unless it says so.
type Requests struct {
	DB    DynamoDB
	Table string
	Audit *audit.Log
	Now   func() time.Time
}

// Open records a new request, open, together with its audit event, which the account sees.
func (s *Requests) Open(ctx context.Context, r Evidence, e audit.Event) (Evidence, error) {
	now := s.Now().UTC().Truncate(time.Millisecond)
	r.Status, r.CreatedAt, r.ChangedAt, r.version = Requested, now, now, 1
	it := key(r.ID, evidenceSort)
	maps.Copy(it, until(now))
	it[attrListKey], it[attrListSort] = attr.String(ofEvidence+string(r.Status)), attr.String(r.ID)
	it[attrOwnerKey], it[attrOwnerSort], it[attrAccount] = attr.String(ofEvidence+r.AccountID), attr.String(r.ID), attr.String(r.AccountID)
	it[attrStatus], it[attrVersion], it[attrCreated], it[attrChanged] = attr.String(string(r.Status)), attr.Int(1), attr.Time(now), attr.Time(now)
	it[attrReason], it[attrDue], it[attrRecipients] = attr.String(r.Reason), attr.Time(r.DueAt), attr.Strings(r.RecipientIDs)
	if !r.From.IsZero() {
		it[attrFrom], it[attrTo] = attr.Time(r.From), attr.Time(r.To)
	}
	if r.ComplaintID != "" {
		it[attrComplaint] = attr.String(r.ComplaintID)
	}
	e.AccountID, e.Action, e.Target, e.Reason, e.ComplaintID = r.AccountID, "evidence.requested", r.ID, r.Reason, r.ComplaintID
	e.After = map[string]any{"status": string(r.Status), "due_at": r.DueAt.UnixMilli(), "recipients": len(r.RecipientIDs)}
	err := s.Audit.Write(ctx, e, types.TransactWriteItem{Put: &types.Put{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	}})
	return r, written(err)
}

// Get gives a request, or ErrNotFound.
func (s *Requests) Get(ctx context.Context, id string) (Evidence, error) {
	it, err := get(ctx, s.DB, s.Table, id, evidenceSort, s.Now())
	if err != nil {
		return Evidence{}, err
	}
	return decodeEvidence(it), nil
}

// Which are the requests that a list is to have; "" and false: any.
type Which struct {
	AccountID string
	Status    EvidenceStatus
	Overdue   bool
}

// List gives requests, newest first. Up to one request for each status.
func (s *Requests) List(ctx context.Context, w Which, p attr.Page) (list []Evidence, next string, err error) {
	now := s.Now()
	r := reader{db: s.DB, table: s.Table, index: listed(), keep: func(it attr.Item) bool {
		e := decodeEvidence(it)
		return !gone(it, now) && (w.Status == "" || e.Status == w.Status) && (!w.Overdue || e.Overdue(now))
	}}
	var partitions []string
	for _, st := range EvidenceStatuses() {
		if (w.Status == "" || st == w.Status) && (!w.Overdue || st.Waits()) {
			partitions = append(partitions, ofEvidence+string(st))
		}
	}
	if w.AccountID != "" {
		r.index, partitions = byOwner(), []string{ofEvidence + w.AccountID}
	}
	items, next, err := r.newest(ctx, partitions, p)
	for _, it := range items {
		list = append(list, decodeEvidence(it))
	}
	return list, next, err
}

// Overdue counts an account's overdue requests, up to 100.
func (s *Requests) Overdue(ctx context.Context, accountID string) (int, error) {
	list, _, err := s.List(ctx, Which{AccountID: accountID, Overdue: true}, attr.Page{Size: maxOverdue})
	return len(list), err
}

// Submit records an account's answer, together with its audit event. It returns ErrStatus when no answer is waited for,
// ErrChanged when somebody else was faster.
func (s *Requests) Submit(ctx context.Context, r Evidence, sub Submission, e audit.Event) (Evidence, error) {
	if !r.Status.Waits() {
		return Evidence{}, ErrStatus
	}
	was, n := r, r.Submissions+1
	sub.At = s.Now().UTC().Truncate(time.Millisecond)
	body, err := attr.JSON(sub)
	if err != nil {
		return Evidence{}, err
	}
	it := key(r.ID, fmt.Sprintf("%s%06d", submissionSort, n))
	maps.Copy(it, until(sub.At))
	it[attrBody] = body
	r.Submissions = n
	e.Action, e.After = "evidence.submitted", map[string]any{"documents": len(sub.Documents), "bundles": len(sub.Bundles), "submission": n}
	return s.move(ctx, was, r, Submitted, attr.Item{attrSubmissions: attr.Int(n)}, e, types.TransactWriteItem{Put: &types.Put{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	}})
}

// Decide records what the operator thinks of the last answer, Accepted or Rejected, together with its audit event. It returns
// ErrStatus when there is no answer to decide on, ErrChanged when somebody else was faster.
func (s *Requests) Decide(ctx context.Context, r Evidence, status EvidenceStatus, note string, e audit.Event) (Evidence, error) {
	if r.Status != Submitted || status != Accepted && status != Rejected {
		return Evidence{}, ErrStatus
	}
	was := r
	r.Note = note
	e.Action, e.Reason, e.After = "evidence."+string(status), note, map[string]any{}
	return s.move(ctx, was, r, status, attr.Item{attrNote: attr.String(note)}, e)
}

// move changes a request's status. The account sees the event, whoever did it.
func (s *Requests) move(ctx context.Context, was, r Evidence, status EvidenceStatus, set attr.Item, e audit.Event, also ...types.TransactWriteItem) (Evidence, error) {
	r.Status, r.ChangedAt, r.version = status, s.Now().UTC().Truncate(time.Millisecond), was.version+1
	maps.Copy(set, until(r.ChangedAt))
	set[attrStatus], set[attrListKey], set[attrChanged] = attr.String(string(status)), attr.String(ofEvidence+string(status)), attr.Time(r.ChangedAt)
	e.AccountID, e.Target, e.ComplaintID = r.AccountID, r.ID, r.ComplaintID
	e.Before, e.After["status"] = map[string]any{"status": string(was.Status)}, string(status)
	changes := append([]types.TransactWriteItem{{Update: guarded(s.Table, r.ID, evidenceSort, was.version, set)}}, also...)
	return r, written(s.Audit.Write(ctx, e, changes...))
}

// Submissions gives an account's answers to a request, the last first: the newest 50.
func (s *Requests) Submissions(ctx context.Context, id string) ([]Submission, error) {
	const most = 50
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(most),
		KeyConditionExpression:    aws.String("#pk = :pk AND begins_with(#sk, :submission)"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(id), ":submission": attr.String(submissionSort)},
	})
	if err != nil {
		return nil, fmt.Errorf("list submissions: %w", err)
	}
	list := make([]Submission, 0, len(out.Items))
	for _, it := range out.Items {
		var sub Submission
		if err := attr.FromJSON(it, attrBody, &sub); err != nil {
			return nil, err
		}
		list = append(list, sub)
	}
	return list, nil
}

func decodeEvidence(it attr.Item) Evidence {
	return Evidence{
		ID: attr.Text(it, attrPK), AccountID: attr.Text(it, attrAccount), Reason: attr.Text(it, attrReason), Note: attr.Text(it, attrNote),
		DueAt: attr.Moment(it, attrDue), RecipientIDs: attr.Texts(it, attrRecipients), From: attr.Moment(it, attrFrom), To: attr.Moment(it, attrTo),
		ComplaintID: attr.Text(it, attrComplaint), Status: EvidenceStatus(attr.Text(it, attrStatus)), CreatedAt: attr.Moment(it, attrCreated),
		ChangedAt: attr.Moment(it, attrChanged), Submissions: attr.Number(it, attrSubmissions), version: attr.Number(it, attrVersion),
	}
}

func exists[T any](_ T, err error) (bool, error) {
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
