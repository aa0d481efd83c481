package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/cache"
	"contactcenter/shared/event"
	"contactcenter/shared/restriction"
	"contactcenter/shared/usage"
)

// Items: pk account id, sk "account": an account. pk "plan#<id>", sk "plan": a plan. pk "plan#<id>", sk
// "member#<account>": the account had this plan when it was written; the account's own item is what counts.
const (
	attrPK        = "pk"
	attrSK        = "sk"
	attrPlan      = "plan_id"
	attrRetention = "retention_days"
	attrCountries = "transfer_countries"
	attrCreated   = "created_at"
	attrVersion   = "version"
	attrLimit     = "limit"
	attrPeriod    = "period"
	attrRate      = "rate_limit"
	attrWindow    = "window_seconds"
	attrBurst     = "burst"
	attrFlight    = "in_flight"

	accountSort  = "account"
	planSort     = "plan"
	planPrefix   = "plan#"
	memberPrefix = "member#"
)

const (
	// TermsAge is how old the terms may be that Terms gives.
	TermsAge  = 5 * time.Second
	cacheSize = 10_000
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Store keeps accounts and plans. It is safe for concurrent use; don't copy it.
type Store struct {
	DB    DynamoDB
	Table string
	Now   func() time.Time
	// DefaultPlanID is the plan of an account that nobody gave another one.
	DefaultPlanID string
	// Audit is needed by the methods that take an event: what a person changes is written together with it.
	Audit *audit.Log

	once  sync.Once
	plans *cache.Cache[string, Plan]
	of    *cache.Cache[string, Account]
}

func (s *Store) caches() (plans *cache.Cache[string, Plan], of *cache.Cache[string, Account]) {
	s.once.Do(func() {
		s.plans = cache.New[string, Plan](TermsAge, cacheSize, s.Now)
		s.of = cache.New[string, Account](TermsAge, cacheSize, s.Now)
	})
	return s.plans, s.of
}

// Get gives an account. One that is not yet known is made now, with the default plan. One request; three at an
// account's first call.
func (s *Store) Get(ctx context.Context, accountID string) (Account, error) {
	a, err := s.Find(ctx, accountID)
	if !errors.Is(err, ErrNotFound) {
		return a, err
	}
	if a, err = s.create(ctx, accountID, s.DefaultPlanID); !errors.Is(err, errExists) {
		return a, err
	}
	return s.Find(ctx, accountID)
}

// Find gives an account that is known, or ErrNotFound.
func (s *Store) Find(ctx context.Context, accountID string) (Account, error) {
	if !ValidID(accountID) {
		return Account{}, ErrID
	}
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: accountKey(accountID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Account{}, fmt.Errorf("get account: %w", err)
	}
	if len(out.Item) == 0 {
		return Account{}, ErrNotFound
	}
	return decodeAccount(out.Item)
}

var errExists = errors.New("account exists")

// create makes an account. Its membership is written first, so that a plan never misses a member.
func (s *Store) create(ctx context.Context, accountID, planID string) (Account, error) {
	a := Account{ID: accountID, PlanID: planID, CreatedAt: s.Now().UTC().Truncate(time.Millisecond)}
	if err := s.join(ctx, planID, accountID); err != nil {
		return Account{}, err
	}
	it := accountKey(accountID)
	it[attrPlan], it[attrCreated] = attr.String(planID), attr.Time(a.CreatedAt)
	_, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.Table, Item: it, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	})
	if refused := new(types.ConditionalCheckFailedException); errors.As(err, &refused) {
		return Account{}, errExists
	}
	if err != nil {
		return Account{}, fmt.Errorf("create account: %w", err)
	}
	return a, nil
}

func (s *Store) join(ctx context.Context, planID, accountID string) error {
	if _, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: memberKey(planID, accountID)}); err != nil {
		return fmt.Errorf("note member of plan: %w", err)
	}
	return nil
}

// SetPlan gives an account another plan, and makes the account when it is not yet known. One that has the plan already keeps
// it. It returns ErrPlanNotFound for a plan that does not exist. Up to seven requests.
func (s *Store) SetPlan(ctx context.Context, accountID, planID string, e audit.Event) (Account, error) {
	if !ValidID(accountID) {
		return Account{}, ErrID
	}
	if _, err := s.Plan(ctx, planID); err != nil {
		return Account{}, err
	}
	if err := s.join(ctx, planID, accountID); err != nil {
		return Account{}, err
	}
	e.Action, e.AccountID, e.Target, e.After = "account.plan_changed", accountID, accountID, map[string]any{"plan_id": planID}
	for range putTries {
		was, err := s.Find(ctx, accountID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Account{}, err
		}
		if err == nil && was.PlanID == planID {
			return was, nil
		}
		if e.Before = nil; err == nil {
			e.Before = map[string]any{"plan_id": was.PlanID}
		}
		err = s.Audit.Write(ctx, e, s.planUpdate(accountID, was.PlanID, planID))
		if audit.AsRefused(err) != nil {
			continue // somebody else gave it another one just now
		}
		if err != nil {
			return Account{}, fmt.Errorf("set plan of account: %w", err)
		}
		_, of := s.caches()
		of.Forget(accountID)
		if was.PlanID != "" {
			if err := s.leave(ctx, was.PlanID, accountID); err != nil {
				return Account{}, err
			}
		}
		return s.Find(ctx, accountID)
	}
	return Account{}, fmt.Errorf("set plan of account: it changed %d times meanwhile", putTries)
}

// planUpdate changes an account's plan from was; "": the account is not known yet.
func (s *Store) planUpdate(accountID, was, planID string) types.TransactWriteItem {
	u := &types.Update{
		TableName: &s.Table, Key: accountKey(accountID),
		UpdateExpression:          aws.String("SET #plan = :plan, #created = if_not_exists(#created, :now)"),
		ConditionExpression:       aws.String("attribute_not_exists(#plan)"),
		ExpressionAttributeNames:  map[string]string{"#plan": attrPlan, "#created": attrCreated},
		ExpressionAttributeValues: attr.Item{":plan": attr.String(planID), ":now": attr.Time(s.Now())},
	}
	if was != "" {
		u.ConditionExpression = aws.String("#plan = :was")
		u.ExpressionAttributeValues[":was"] = attr.String(was)
	}
	return types.TransactWriteItem{Update: u}
}

// leave takes a membership away, and gives it back when the account has returned to the plan meanwhile.
func (s *Store) leave(ctx context.Context, planID, accountID string) error {
	if _, err := s.DB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.Table, Key: memberKey(planID, accountID)}); err != nil {
		return fmt.Errorf("remove member of plan: %w", err)
	}
	a, err := s.Find(ctx, accountID)
	if err == nil && a.PlanID == planID {
		return s.join(ctx, planID, accountID)
	}
	return err
}

// Terms gives the limits that hold for an account, at most TermsAge old; with fresh set, as they are now. An account
// that is not yet known is made, as by Get.
func (s *Store) Terms(ctx context.Context, accountID string, fresh bool) (usage.Terms, error) {
	st, err := s.Standing(ctx, accountID, fresh)
	return st.Terms, err
}

// Standing gives plan and restrictions of an account, at most TermsAge old; with fresh set, as they are now. A
// restriction that ends by itself does so at its time, however old the answer is. An account that is not yet known is
// made, as by Get.
func (s *Store) Standing(ctx context.Context, accountID string, fresh bool) (Standing, error) {
	plans, of := s.caches()
	if fresh {
		of.Forget(accountID)
	}
	a, err := of.Load(accountID, func() (Account, error) { return s.Get(ctx, accountID) })
	if err != nil {
		return Standing{}, err
	}
	if fresh {
		plans.Forget(a.PlanID)
	}
	p, err := plans.Load(a.PlanID, func() (Plan, error) { return s.Plan(ctx, a.PlanID) })
	if err != nil {
		return Standing{}, err
	}
	return standing(a, p, s.Now()), nil
}

// Plan gives a plan, or ErrPlanNotFound. One strongly consistent request.
func (s *Store) Plan(ctx context.Context, planID string) (Plan, error) {
	if !ValidID(planID) {
		return Plan{}, ErrPlanNotFound
	}
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: planKey(planID), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Plan{}, fmt.Errorf("get plan: %w", err)
	}
	if len(out.Item) == 0 {
		return Plan{}, ErrPlanNotFound
	}
	return decodePlan(out.Item), nil
}

const putTries = 6

// PutPlan sets a plan's limits; the version given is ignored. Limits that are in force already change nothing;
// others get the next version. It returns the plan as it is now, and whether it changed.
func (s *Store) PutPlan(ctx context.Context, p Plan, e audit.Event) (Plan, bool, error) {
	if !ValidID(p.ID) {
		return Plan{}, false, ErrID
	}
	p = p.Normal()
	e.Action, e.Target, e.After = "plan.changed", p.ID, p.values()
	for range putTries {
		old, err := s.Plan(ctx, p.ID)
		if err != nil && !errors.Is(err, ErrPlanNotFound) {
			return Plan{}, false, err
		}
		if err == nil && old.same(p) {
			return old, false, nil
		}
		if e.Before = nil; err == nil {
			e.Before = old.values()
		}
		p.Version = old.Version + 1
		err = s.Audit.Write(ctx, e, s.planPut(p, old.Version))
		if audit.AsRefused(err) != nil {
			continue // somebody else changed it just now
		}
		if err != nil {
			return Plan{}, false, fmt.Errorf("put plan: %w", err)
		}
		plans, _ := s.caches()
		plans.Forget(p.ID)
		return p, true, nil
	}
	return Plan{}, false, fmt.Errorf("put plan: it changed %d times meanwhile", putTries)
}

// values are the plan's limits for the audit log.
func (p Plan) values() map[string]any {
	return map[string]any{
		"limit": p.Limit, "period": string(p.Period), "rate_limit": p.Rate.Limit, "rate_window_seconds": p.Rate.WindowSeconds, "rate_burst": p.Rate.Burst,
	}
}

// planPut writes a plan over the version that was read; 0: there was none.
func (s *Store) planPut(p Plan, over int64) types.TransactWriteItem {
	it := planKey(p.ID)
	it[attrVersion], it[attrLimit], it[attrPeriod] = attr.Int(p.Version), attr.Int(p.Limit), attr.String(string(p.Period))
	it[attrRate], it[attrWindow], it[attrBurst] = attr.Int(p.Rate.Limit), attr.Int(p.Rate.WindowSeconds), attr.Int(p.Rate.Burst)
	it[attrFlight] = attr.Int(int64(p.InFlight))
	in := &types.Put{TableName: &s.Table, Item: it}
	if over == 0 {
		in.ConditionExpression, in.ExpressionAttributeNames = aws.String("attribute_not_exists(#pk)"), map[string]string{"#pk": attrPK}
	} else {
		in.ConditionExpression, in.ExpressionAttributeNames = aws.String("#version = :over"), map[string]string{"#version": attrVersion}
		in.ExpressionAttributeValues = attr.Item{":over": attr.Int(over)}
	}
	return types.TransactWriteItem{Put: in}
}

// Members lists the accounts that have a plan, and for a moment those that just left it: an account's own item says
// which plan it has. One request.
func (s *Store) Members(ctx context.Context, planID string, p attr.Page) (accountIDs []string, next string, err error) {
	start, err := attr.Start(p.Token, map[string]string{attrPK: planPrefix + planID}, attrSK)
	if err != nil {
		return nil, "", err
	}
	out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(p.Size)), ExclusiveStartKey: start,
		KeyConditionExpression:    aws.String("#pk = :pk AND begins_with(#sk, :member)"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: attr.Item{":pk": attr.String(planPrefix + planID), ":member": attr.String(memberPrefix)},
	})
	if err != nil {
		return nil, "", fmt.Errorf("list members of plan: %w", err)
	}
	for _, it := range out.Items {
		accountIDs = append(accountIDs, strings.TrimPrefix(attr.Text(it, attrSK), memberPrefix))
	}
	next, err = attr.Token(out.LastEvaluatedKey)
	return accountIDs, next, err
}

func accountKey(accountID string) attr.Item {
	return attr.Item{attrPK: attr.String(accountID), attrSK: attr.String(accountSort)}
}

func planKey(planID string) attr.Item {
	return attr.Item{attrPK: attr.String(planPrefix + planID), attrSK: attr.String(planSort)}
}

func memberKey(planID, accountID string) attr.Item {
	return attr.Item{attrPK: attr.String(planPrefix + planID), attrSK: attr.String(memberPrefix + accountID)}
}

func decodeAccount(it attr.Item) (Account, error) {
	a := Account{ID: attr.Text(it, attrPK), PlanID: attr.Text(it, attrPlan), CreatedAt: attr.Moment(it, attrCreated), RetentionDays: attr.Number(it, attrRetention), Countries: countriesFrom(attr.Text(it, attrCountries)), Listens: event.Decode(attr.Text(it, ListensAttribute))}
	var err error
	if a.Restrictions, err = restriction.Decode(attr.Text(it, attrRestrictions)); err != nil {
		return Account{}, fmt.Errorf("account %s: %w", a.ID, err)
	}
	return a, nil
}

func decodePlan(it attr.Item) Plan {
	return Plan{
		ID: strings.TrimPrefix(attr.Text(it, attrPK), planPrefix), Version: attr.Number(it, attrVersion),
		Limit: attr.Number(it, attrLimit), Period: usage.PeriodKind(attr.Text(it, attrPeriod)),
		Rate:     Rate{Limit: attr.Number(it, attrRate), WindowSeconds: attr.Number(it, attrWindow), Burst: attr.Number(it, attrBurst)},
		InFlight: int(attr.Number(it, attrFlight)),
	}
}
