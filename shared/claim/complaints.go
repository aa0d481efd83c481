package claim

import (
	"context"
	"encoding/json"
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
	attrCategory  = "category"
	attrStatement = "statement"
	attrNote      = "note"

	complaintSort = "complaint"
	ofComplaints  = "complaint#"

	statementPurpose = "complaint"
	notePurpose      = "complaint-note"
)

// Sealer seals what only an Opener of the same group opens.
type Sealer interface {
	Seal(account, purpose string, plain []byte) ([]byte, error)
}

// Opener opens what was sealed for the same account and purpose.
type Opener interface {
	Open(account, purpose string, sealed []byte) ([]byte, error)
}

// Complaints keeps complaints. Every method is one request to DynamoDB unless it says so.
type Complaints struct {
	DB     DynamoDB
	Table  string
	Sealer Sealer
	// Opener and Audit are the operator's: whoever takes complaints in has neither.
	Opener Opener
	Audit  *audit.Log
	Now    func() time.Time
}

// Receive records a complaint, open. What was written is sealed for the complaint's own id, so that it opens nowhere else.
func (s *Complaints) Receive(ctx context.Context, id, category string, what Statement) (Complaint, error) {
	plain, err := json.Marshal(what)
	if err != nil {
		return Complaint{}, fmt.Errorf("encode complaint: %w", err)
	}
	sealed, err := s.Sealer.Seal(id, statementPurpose, plain)
	if err != nil {
		return Complaint{}, err
	}
	now := s.Now().UTC().Truncate(time.Millisecond)
	c := Complaint{ID: id, Category: category, Status: Open, ReceivedAt: now, ChangedAt: now, version: 1, statement: sealed}
	it := key(id, complaintSort)
	maps.Copy(it, until(now))
	it[attrListKey], it[attrListSort] = attr.String(ofComplaints+string(Open)), attr.String(id)
	it[attrCategory], it[attrStatus], it[attrVersion] = attr.String(category), attr.String(string(Open)), attr.Int(1)
	it[attrCreated], it[attrChanged] = attr.Time(now), attr.Time(now)
	it[attrStatement] = &types.AttributeValueMemberB{Value: sealed}
	_, err = s.DB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	})
	if err != nil {
		return Complaint{}, fmt.Errorf("record complaint: %w", err)
	}
	return c, nil
}

// Get gives a complaint, or ErrNotFound.
func (s *Complaints) Get(ctx context.Context, id string) (Complaint, error) {
	it, err := get(ctx, s.DB, s.Table, id, complaintSort, s.Now())
	if err != nil {
		return Complaint{}, err
	}
	return decodeComplaint(it), nil
}

// Exists reports whether there is a complaint.
func (s *Complaints) Exists(ctx context.Context, id string) (bool, error) {
	return exists(s.Get(ctx, id))
}

// Statement gives what the claimant wrote. No request.
func (s *Complaints) Statement(c Complaint) (Statement, error) {
	plain, err := s.Opener.Open(c.ID, statementPurpose, c.statement)
	if err != nil {
		return Statement{}, fmt.Errorf("open complaint: %w", err)
	}
	var out Statement
	if err := json.Unmarshal(plain, &out); err != nil {
		return Statement{}, fmt.Errorf("decode complaint: %w", err)
	}
	return out, nil
}

// Note gives the operator's note, "" when there is none. No request.
func (s *Complaints) Note(c Complaint) (string, error) {
	if len(c.note) == 0 {
		return "", nil
	}
	plain, err := s.Opener.Open(c.ID, notePurpose, c.note)
	if err != nil {
		return "", fmt.Errorf("open note of complaint: %w", err)
	}
	return string(plain), nil
}

// List gives complaints, newest first; status and accountID may be "". Up to one request for each status.
func (s *Complaints) List(ctx context.Context, status Status, accountID string, p attr.Page) (list []Complaint, next string, err error) {
	r := reader{db: s.DB, table: s.Table, index: listed(), keep: func(it attr.Item) bool {
		return !gone(it, s.Now()) && (status == "" || attr.Text(it, attrStatus) == string(status))
	}}
	partitions := []string{ofComplaints + string(status)}
	if status == "" {
		partitions = nil
		for _, st := range Statuses() {
			partitions = append(partitions, ofComplaints+string(st))
		}
	}
	if accountID != "" {
		r.index, partitions = byOwner(), []string{ofComplaints + accountID}
	}
	items, next, err := r.newest(ctx, partitions, p)
	for _, it := range items {
		list = append(list, decodeComplaint(it))
	}
	return list, next, err
}

// Review is what an operator changes of a complaint; "" leaves it as it is.
type Review struct {
	Status    Status
	AccountID string
	Note      string
}

// Review changes a complaint as it was read, together with its audit event, which tells nothing of what anybody wrote. A
// change that changes nothing writes nothing. It returns ErrStatus for a status that may not follow, ErrChanged when somebody
// else was faster.
func (s *Complaints) Review(ctx context.Context, c Complaint, r Review, e audit.Event) (Complaint, error) {
	was := c
	set := attr.Item{}
	e.Before, e.After = map[string]any{}, map[string]any{}
	if r.Status != "" && r.Status != c.Status {
		if !c.Status.May(r.Status) {
			return Complaint{}, ErrStatus
		}
		e.Before["status"], e.After["status"] = string(c.Status), string(r.Status)
		c.Status = r.Status
		set[attrStatus], set[attrListKey] = attr.String(string(c.Status)), attr.String(ofComplaints+string(c.Status))
	}
	if r.AccountID != "" && r.AccountID != c.AccountID {
		e.After["account_id"] = r.AccountID
		if c.AccountID != "" {
			e.Before["account_id"] = c.AccountID
		}
		c.AccountID = r.AccountID
		set[attrAccount], set[attrOwnerKey], set[attrOwnerSort] = attr.String(c.AccountID), attr.String(ofComplaints+c.AccountID), attr.String(c.ID)
	}
	if note, err := s.Note(was); err != nil {
		return Complaint{}, err
	} else if r.Note != "" && r.Note != note {
		if c.note, err = s.Sealer.Seal(c.ID, notePurpose, []byte(r.Note)); err != nil {
			return Complaint{}, err
		}
		e.After["note"] = "changed"
		set[attrNote] = &types.AttributeValueMemberB{Value: c.note}
	}
	if len(set) == 0 {
		return was, nil
	}
	c.ChangedAt, c.version = s.Now().UTC().Truncate(time.Millisecond), c.version+1
	set[attrChanged] = attr.Time(c.ChangedAt)
	// The operator's own affair: an account learns of a complaint by what is done about it.
	e.AccountID, e.Action, e.Target, e.ComplaintID = "", "complaint.reviewed", c.ID, c.ID
	return c, written(s.Audit.Write(ctx, e, types.TransactWriteItem{Update: guarded(s.Table, c.ID, complaintSort, was.version, set)}))
}

// guarded is a change of an item that still has the version that was read.
func guarded(table, pk, sk string, version int64, set attr.Item) *types.Update {
	var u attr.Update
	u.Require(u.Is(attrVersion, "=", attr.Int(version)))
	u.Set(attrVersion, attr.Int(version+1))
	u.SetAll(set)
	return u.Part(table, key(pk, sk))
}

func written(err error) error {
	if audit.AsRefused(err) != nil {
		return ErrChanged
	}
	return err
}

func decodeComplaint(it attr.Item) Complaint {
	return Complaint{
		ID: attr.Text(it, attrPK), Category: attr.Text(it, attrCategory), Status: Status(attr.Text(it, attrStatus)), AccountID: attr.Text(it, attrAccount),
		ReceivedAt: attr.Moment(it, attrCreated), ChangedAt: attr.Moment(it, attrChanged), version: attr.Number(it, attrVersion),
		statement: raw(it, attrStatement), note: raw(it, attrNote),
	}
}

func raw(it attr.Item, name string) []byte {
	if b, ok := it[name].(*types.AttributeValueMemberB); ok {
		return b.Value
	}
	return nil
}
