package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// implicitAPI is the HTTP API that SAM makes when a route names none.
const implicitAPI = "ServerlessHttpApi"

// App is a template resolved for one deployment.
type App struct {
	Functions []Function
	API       API
	Tables    []Table
	Queues    []Queue
}

// Function is one AWS::Serverless::Function.
type Function struct {
	LogicalID string
	// Name is the physical name.
	Name string
	// CodeURI is the folder with the source, as written, relative to the template.
	CodeURI string
	Timeout time.Duration
	// MemoryMB is only told to the function; nothing bounds it here.
	MemoryMB int
	// ReservedConcurrency bounds the invocations at a time; 0: no bound of its own.
	ReservedConcurrency int
	// JSONLogs says that the function's LoggingConfig asks for JSON; LogLevel is its ApplicationLogLevel.
	JSONLogs    bool
	LogLevel    string
	Environment map[string]string
	Routes      []Route
	Queues      []QueueSource
	Schedules   []Schedule
}

// Route is one route of the HTTP API.
type Route struct {
	// Method is in capitals, or ANY.
	Method string
	// Path has API Gateway's parameters, {id} and {proxy+}. It is empty for the $default route.
	Path string
	// Authorizer names one of the API's; empty: public.
	Authorizer string
	// Scopes are those of which a token needs one; none: any valid token will do.
	Scopes []string
	// Timeout of the integration, at most 30 seconds.
	Timeout time.Duration
}

// QueueSource is a queue that invokes a function.
type QueueSource struct {
	// QueueID is the logical id of the queue.
	QueueID   string
	BatchSize int
	Window    time.Duration
	// MaximumConcurrency bounds the invocations at a time; 0: no bound of its own.
	MaximumConcurrency int
	// ReportFailures says that the function names the messages of a batch that failed.
	ReportFailures bool
}

// Schedule is one EventBridge Scheduler schedule.
type Schedule struct {
	Name       string
	Expression string
	Timezone   string
	// Input is what the function gets; empty: the Scheduler's own event.
	Input    string
	Disabled bool
}

// API is the HTTP API.
type API struct {
	LogicalID   string
	Authorizers map[string]Authorizer
	CORS        *CORS
}

// Authorizer is a JWT authorizer.
type Authorizer struct {
	Issuer    string
	Audiences []string
	Scopes    []string
}

// CORS is what the API answers to browsers of other origins.
type CORS struct {
	AllowOrigins, AllowMethods, AllowHeaders, ExposeHeaders []string
	AllowCredentials                                        bool
	// MaxAge in seconds; 0: not said.
	MaxAge int
}

// Table is one DynamoDB table.
type Table struct {
	LogicalID, Name string
	// Attributes are the types (S, N, B) of the key attributes.
	Attributes map[string]string
	Key        Key
	Global     []Index
	Local      []Index
}

// Key names a primary key's attributes; Sort may be empty.
type Key struct{ Partition, Sort string }

// Index is a secondary index.
type Index struct {
	Name       string
	Key        Key
	Projection string
	NonKey     []string
}

// Queue is one SQS queue.
type Queue struct {
	LogicalID, Name string
	// Attributes are those of SQS's CreateQueue, without RedrivePolicy.
	Attributes map[string]string
	// DeadLetterARN and MaxReceiveCount are the redrive policy; the ARN is empty without one.
	DeadLetterARN   string
	MaxReceiveCount int
}

// Resolve works the template out. Resources of kinds that mean nothing on one machine are left aside; an event
// source that is not known here is an error, as it would otherwise be missing in silence.
func (t *Template) Resolve(o Options) (*App, error) {
	for name := range o.Parameters {
		if _, ok := section(t.root, "Parameters")[name]; !ok {
			return nil, fmt.Errorf("the template has no parameter %q (it has %s)", name, strings.Join(t.Parameters(), ", "))
		}
	}
	r := &resolver{t: t, options: o}
	app := &App{API: API{Authorizers: map[string]Authorizer{}}}
	for _, id := range slices.Sorted(maps.Keys(t.resources)) {
		if err := r.add(app, id, t.resources[id]); err != nil {
			return nil, fmt.Errorf("resource %s: %w", id, err)
		}
	}
	if app.API.LogicalID == "" {
		global, err := r.properties("HttpApi", nil, "Auth", "CorsConfiguration")
		if err != nil {
			return nil, fmt.Errorf("section Globals: %w", err)
		}
		app.API = api(implicitAPI, global)
	}
	return app, r.finish(app)
}

func (r *resolver) add(app *App, id string, res resource) error {
	if res.condition != "" {
		holds, err := r.condition(res.condition)
		if err != nil || !holds {
			return err
		}
	}
	switch res.kind {
	case "AWS::Serverless::Function":
		f, err := r.function(id, res)
		if err != nil {
			return err
		}
		app.Functions = append(app.Functions, f)
	case "AWS::Serverless::HttpApi":
		if app.API.LogicalID != "" {
			return fmt.Errorf("a second HTTP API, beside %s; only one can be served on one machine", app.API.LogicalID)
		}
		p, err := r.properties("HttpApi", res.properties, "Auth", "CorsConfiguration")
		if err != nil {
			return err
		}
		app.API = api(id, p)
	case "AWS::DynamoDB::Table":
		table, err := r.table(id, res)
		if err != nil {
			return err
		}
		app.Tables = append(app.Tables, table)
	case "AWS::SQS::Queue":
		queue, err := r.queue(id, res)
		if err != nil {
			return err
		}
		app.Queues = append(app.Queues, queue)
	case "AWS::Serverless::Api", "AWS::Serverless::StateMachine", "AWS::Serverless::SimpleTable", "AWS::Serverless::Application",
		"AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::Api", "AWS::Scheduler::Schedule", "AWS::Events::Rule":
		return fmt.Errorf("type %s would take part on AWS but can't be run on one machine", res.kind)
	}
	return nil
}

// properties resolves those of a resource's properties that matter here, laid over the Globals of its kind.
func (r *resolver) properties(globals string, own map[string]any, names ...string) (map[string]any, error) {
	inherited := section(section(r.t.root, "Globals"), globals)
	out := map[string]any{}
	for _, name := range names {
		v, has := own[name]
		if global, both := inherited[name]; both && has {
			v = merge(global, v)
		} else if both {
			v, has = global, true
		}
		if !has {
			continue
		}
		resolved, err := r.value(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, gone := resolved.(noValue); !gone {
			out[name] = resolved
		}
	}
	return out, nil
}

func (r *resolver) function(id string, res resource) (Function, error) {
	p, err := r.properties("Function", res.properties, "CodeUri", "Timeout", "MemorySize", "ReservedConcurrentExecutions",
		"Environment", "Events", "PackageType", "LoggingConfig")
	if err != nil {
		return Function{}, err
	}
	if kind := text(p["PackageType"]); kind != "" && kind != "Zip" {
		return Function{}, fmt.Errorf("PackageType %s can't be run without Docker", kind)
	}
	name, err := r.physicalName(id)
	if err != nil {
		return Function{}, err
	}
	logging := section(p, "LoggingConfig")
	f := Function{
		LogicalID: id, Name: name, CodeURI: text(p["CodeUri"]),
		Timeout:             seconds(p["Timeout"], 3),
		MemoryMB:            integerOr(p["MemorySize"], 128),
		ReservedConcurrency: integerOr(p["ReservedConcurrentExecutions"], 0),
		JSONLogs:            text(logging["LogFormat"]) == "JSON",
		LogLevel:            text(logging["ApplicationLogLevel"]),
		Environment:         map[string]string{},
	}
	for key, v := range section(section(p, "Environment"), "Variables") {
		f.Environment[key] = text(v)
	}
	events := section(p, "Events")
	for _, name := range slices.Sorted(maps.Keys(events)) {
		event, _ := events[name].(map[string]any)
		if err := f.addEvent(name, text(event["Type"]), section(event, "Properties")); err != nil {
			return Function{}, fmt.Errorf("event %s: %w", name, err)
		}
	}
	return f, nil
}

func (f *Function) addEvent(name, kind string, p map[string]any) error {
	switch kind {
	case "HttpApi":
		if version := text(p["PayloadFormatVersion"]); version != "" && version != "2.0" {
			return fmt.Errorf("payload format %s is not known here, only 2.0", version)
		}
		auth := section(p, "Auth")
		f.Routes = append(f.Routes, Route{
			Method: strings.ToUpper(text(p["Method"])), Path: text(p["Path"]),
			Authorizer: text(auth["Authorizer"]), Scopes: texts(auth["AuthorizationScopes"]),
			Timeout: time.Duration(integerOr(p["TimeoutInMillis"], 30000)) * time.Millisecond,
		})
	case "SQS":
		if _, filtered := p["FilterCriteria"]; filtered {
			return errors.New("FilterCriteria is not known here")
		}
		if enabled, set := p["Enabled"]; set && text(enabled) == "false" {
			return nil
		}
		f.Queues = append(f.Queues, QueueSource{
			// The ARN, until finish finds the queue that it belongs to.
			QueueID:            text(p["Queue"]),
			BatchSize:          integerOr(p["BatchSize"], 10),
			Window:             seconds(p["MaximumBatchingWindowInSeconds"], 0),
			MaximumConcurrency: integerOr(section(p, "ScalingConfig")["MaximumConcurrency"], 0),
			ReportFailures:     slices.Contains(texts(p["FunctionResponseTypes"]), "ReportBatchItemFailures"),
		})
	case "ScheduleV2", "Schedule":
		expression := text(p["ScheduleExpression"])
		if kind == "Schedule" {
			expression = text(p["Schedule"])
		}
		enabled, set := p["Enabled"]
		f.Schedules = append(f.Schedules, Schedule{
			Name: f.LogicalID + name, Expression: expression, Timezone: text(p["ScheduleExpressionTimezone"]), Input: text(p["Input"]),
			Disabled: text(p["State"]) == "DISABLED" || set && text(enabled) == "false",
		})
	default:
		return fmt.Errorf("event source type %q is not known here (known: HttpApi, SQS, ScheduleV2, Schedule)", kind)
	}
	return nil
}

func api(id string, p map[string]any) API {
	a := API{LogicalID: id, Authorizers: map[string]Authorizer{}}
	auth := section(p, "Auth")
	for name, v := range section(auth, "Authorizers") {
		authorizer, _ := v.(map[string]any)
		jwt := section(authorizer, "JwtConfiguration")
		a.Authorizers[name] = Authorizer{
			Issuer:    text(anyCase(jwt, "issuer")),
			Audiences: texts(anyCase(jwt, "audience")),
			Scopes:    texts(authorizer["AuthorizationScopes"]),
		}
	}
	if name := text(auth["DefaultAuthorizer"]); name != "" {
		// Kept under a name that no authorizer can have, until finish gives it to the routes that name none.
		a.Authorizers[""] = Authorizer{Issuer: name}
	}
	switch cors := p["CorsConfiguration"].(type) {
	case bool:
		if cors {
			a.CORS = &CORS{AllowOrigins: []string{"*"}}
		}
	case map[string]any:
		a.CORS = &CORS{
			AllowOrigins: texts(cors["AllowOrigins"]), AllowMethods: texts(cors["AllowMethods"]), AllowHeaders: texts(cors["AllowHeaders"]),
			ExposeHeaders: texts(cors["ExposeHeaders"]), AllowCredentials: text(cors["AllowCredentials"]) == "true", MaxAge: integerOr(cors["MaxAge"], 0),
		}
	}
	return a
}

func anyCase(m map[string]any, key string) any {
	for k, v := range m {
		if strings.EqualFold(k, key) {
			return v
		}
	}
	return nil
}

func (r *resolver) table(id string, res resource) (Table, error) {
	p, err := r.properties("", res.properties, "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes")
	if err != nil {
		return Table{}, err
	}
	name, err := r.physicalName(id)
	if err != nil {
		return Table{}, err
	}
	t := Table{LogicalID: id, Name: name, Attributes: map[string]string{}, Key: key(p["KeySchema"]), Global: indexes(p["GlobalSecondaryIndexes"]), Local: indexes(p["LocalSecondaryIndexes"])}
	for _, definition := range mappings(p["AttributeDefinitions"]) {
		t.Attributes[text(definition["AttributeName"])] = text(definition["AttributeType"])
	}
	if t.Key.Partition == "" {
		return Table{}, errors.New("KeySchema has no HASH attribute")
	}
	return t, nil
}

func mappings(v any) []map[string]any {
	list, _ := v.([]any)
	out := make([]map[string]any, 0, len(list))
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func key(schema any) (k Key) {
	for _, element := range mappings(schema) {
		if text(element["KeyType"]) == "HASH" {
			k.Partition = text(element["AttributeName"])
		} else {
			k.Sort = text(element["AttributeName"])
		}
	}
	return k
}

func indexes(v any) (out []Index) {
	for _, index := range mappings(v) {
		projection := section(index, "Projection")
		out = append(out, Index{Name: text(index["IndexName"]), Key: key(index["KeySchema"]),
			Projection: text(projection["ProjectionType"]), NonKey: texts(projection["NonKeyAttributes"])})
	}
	return out
}

// queueAttributes are the template's properties that are attributes of CreateQueue under the same name, or another.
var queueAttributes = map[string]string{
	"VisibilityTimeout": "VisibilityTimeout", "MessageRetentionPeriod": "MessageRetentionPeriod", "DelaySeconds": "DelaySeconds",
	"MaximumMessageSize": "MaximumMessageSize", "ReceiveMessageWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
	"FifoQueue": "FifoQueue", "ContentBasedDeduplication": "ContentBasedDeduplication",
	"DeduplicationScope": "DeduplicationScope", "FifoThroughputLimit": "FifoThroughputLimit",
}

func (r *resolver) queue(id string, res resource) (Queue, error) {
	p, err := r.properties("", res.properties, append(slices.Sorted(maps.Keys(queueAttributes)), "RedrivePolicy")...)
	if err != nil {
		return Queue{}, err
	}
	name, err := r.physicalName(id)
	if err != nil {
		return Queue{}, err
	}
	q := Queue{LogicalID: id, Name: name, Attributes: map[string]string{}}
	for property, attribute := range queueAttributes {
		if v, ok := p[property]; ok {
			q.Attributes[attribute] = text(v)
		}
	}
	redrive := section(p, "RedrivePolicy")
	q.DeadLetterARN = text(redrive["deadLetterTargetArn"])
	q.MaxReceiveCount = integerOr(redrive["maxReceiveCount"], 0)
	return q, nil
}

// finish connects what needs the whole: authorizers of routes, queues of event sources.
func (r *resolver) finish(app *App) error {
	fallback := app.API.Authorizers[""].Issuer
	delete(app.API.Authorizers, "")
	for i := range app.Functions {
		f := &app.Functions[i]
		for j := range f.Routes {
			if err := f.Routes[j].authorize(app.API, fallback); err != nil {
				return fmt.Errorf("resource %s: route %s %s: %w", f.LogicalID, f.Routes[j].Method, f.Routes[j].Path, err)
			}
		}
		for j := range f.Queues {
			if err := r.findQueue(app, &f.Queues[j]); err != nil {
				return fmt.Errorf("resource %s: %w", f.LogicalID, err)
			}
		}
	}
	return nil
}

func (route *Route) authorize(api API, fallback string) error {
	if route.Authorizer == "" {
		route.Authorizer = fallback
	}
	if route.Authorizer == "" || route.Authorizer == "NONE" {
		route.Authorizer, route.Scopes = "", nil
		return nil
	}
	authorizer, ok := api.Authorizers[route.Authorizer]
	if !ok {
		return fmt.Errorf("there is no authorizer %q", route.Authorizer)
	}
	if len(route.Scopes) == 0 {
		route.Scopes = authorizer.Scopes
	}
	return nil
}

func (r *resolver) findQueue(app *App, source *QueueSource) error {
	for _, q := range app.Queues {
		arn, err := r.getAtt(q.LogicalID + ".Arn")
		if err != nil {
			return err
		}
		if arn == source.QueueID {
			source.QueueID = q.LogicalID
			return nil
		}
	}
	return fmt.Errorf("event source: no queue of the template has the ARN %q", source.QueueID)
}
