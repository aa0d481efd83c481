package template

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const head = `
Parameters:
  Stage: {Type: String, Default: dev}
  Rate: {Type: Number, Default: 5}
  Needed: {Type: String}
  Origins: {Type: CommaDelimitedList, Default: "a, b"}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
  Both: !And [!Condition IsDev, !Equals [1, "1"]]
Mappings:
  Sizes: {dev: {memory: 128}, prod: {memory: 512}}
`

const function = `
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${Stage}-work"}}
  Table: {Type: AWS::DynamoDB::Table, Properties: {KeySchema: [{AttributeName: pk, KeyType: HASH}]}}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Environment:
        Variables:
          X: `

func TestIntrinsicFunctionsGiveWhatCloudFormationGives(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		expression string
		options    Options
		want       string
	}{
		"a parameter's default":            {expression: `!Ref Stage`, want: "dev"},
		"a parameter that is set":          {expression: `!Ref Stage`, options: Options{Parameters: map[string]string{"Stage": "prod"}}, want: "prod"},
		"a parameter without a default":    {expression: `!Ref Needed`, want: "local-Needed"},
		"a number":                         {expression: `!Ref Rate`, want: "5"},
		"a pseudo parameter":               {expression: `!Ref AWS::Region`, want: Region},
		"a table by its logical id":        {expression: `!Ref Table`, want: "Table"},
		"a queue by its name":              {expression: `!Ref Queue`, want: "dev-work"},
		"a queue by its URL":               {expression: `!Ref Queue`, options: Options{Refs: map[string]string{"Queue": "http://q"}}, want: "http://q"},
		"an ARN":                           {expression: `!GetAtt Queue.Arn`, want: "arn:aws:sqs:us-east-1:000000000000:dev-work"},
		"an ARN in the long form":          {expression: `{"Fn::GetAtt": [Queue, Arn]}`, want: "arn:aws:sqs:us-east-1:000000000000:dev-work"},
		"an ARN that an engine decided on": {expression: `!GetAtt Queue.Arn`, options: Options{Attributes: map[string]string{"Queue.Arn": "arn:x"}}, want: "arn:x"},
		"a substitution":                   {expression: `!Sub "${Stage}/${Table.Arn}/${!Literal}/${AWS::AccountId}"`, want: "dev/arn:aws:dynamodb:us-east-1:000000000000:table/Table/${Literal}/000000000000"},
		"a substitution with variables":    {expression: `!Sub ["${A}-${Stage}", {A: !Ref Rate}]`, want: "5-dev"},
		"a join":                           {expression: `!Join ["-", [a, !Ref Stage, 1]]`, want: "a-dev-1"},
		"a join of a list parameter":       {expression: `!Join ["|", !Ref Origins]`, want: "a|b"},
		"a selection":                      {expression: `!Select [1, !Split [",", "x,y"]]`, want: "y"},
		"a choice that holds":              {expression: `!If [IsDev, yes, no]`, want: "yes"},
		"a choice that does not hold":      {expression: `!If [IsProd, 1, 2]`, want: "2"},
		"a choice of two conditions":       {expression: `!If [Both, 1, 2]`, want: "1"},
		"a nested choice":                  {expression: `!If [IsProd, 1, !If [IsDev, !Sub "${Stage}!", 3]]`, want: "dev!"},
		"a mapping":                        {expression: `!FindInMap [Sizes, !Ref Stage, memory]`, want: "128"},
		"base64":                           {expression: `!Base64 hi`, want: "aGk="},
		"a folded text":                    {expression: ">-\n            one\n            two", want: "one two"},
		"texts with colons in brackets":    {expression: `!Join [" ", [things:read, b, things:write]]`, want: "things:read b things:write"},
		"a boolean":                        {expression: `true`, want: "true"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template, err := Parse([]byte(head + function + c.expression + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			app, err := template.Resolve(c.options)
			if err != nil {
				t.Fatal(err)
			}
			if got := app.Functions[0].Environment["X"]; got != c.want {
				t.Errorf("%s gives %q, want %q", c.expression, got, c.want)
			}
		})
	}
}

func TestNoValueTakesAPropertyAway(t *testing.T) {
	t.Parallel()
	app := resolve(t, head+function+`!If [IsProd, 1, !Ref AWS::NoValue]`)
	if _, has := app.Functions[0].Environment["X"]; has {
		t.Error("the variable is still there")
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	event := func(kind, properties string) string {
		return "Resources: {Q: {Type: AWS::SQS::Queue}, F: {Type: AWS::Serverless::Function, Properties: {Events: {Go: {Type: " + kind + ", Properties: {" + properties + "}}}}}}"
	}
	cases := map[string]struct {
		source  string
		options Options
		want    string
	}{
		"no YAML":                         {source: "a: [", want: "parse the template"},
		"a colon without a space":         {source: "a: {b:c, d: e}", want: `line 1: write a space after the colon of "b"`},
		"no resources":                    {source: "Parameters: {}", want: "no Resources"},
		"an unknown reference":            {source: head + function + "!Ref Nothing", want: `"Nothing" is neither a parameter nor a resource`},
		"an unknown condition":            {source: head + function + "!If [Nothing, 1, 2]", want: `no condition "Nothing"`},
		"an unknown function":             {source: head + function + "!ImportValue x", want: "no meaning on one machine"},
		"an unknown parameter":            {source: head + function + "x", options: Options{Parameters: map[string]string{"Nope": "1"}}, want: `no parameter "Nope"`},
		"an unknown event source":         {source: event("Kinesis", ""), want: `event Go: event source type "Kinesis" is not known here`},
		"an event filter":                 {source: event("SQS", "Queue: !GetAtt Q.Arn, FilterCriteria: {}"), want: "FilterCriteria"},
		"a queue that is elsewhere":       {source: event("SQS", "Queue: arn:aws:sqs:x"), want: `no queue of the template has the ARN "arn:aws:sqs:x"`},
		"an unknown authorizer":           {source: event("HttpApi", "Path: /x, Method: get, Auth: {Authorizer: Nobody}"), want: `there is no authorizer "Nobody"`},
		"another payload format":          {source: event("HttpApi", `Path: /x, Method: get, PayloadFormatVersion: "1.0"`), want: "payload format 1.0"},
		"an image":                        {source: "Resources: {F: {Type: AWS::Serverless::Function, Properties: {PackageType: Image}}}", want: "without Docker"},
		"a second API":                    {source: "Resources: {A: {Type: AWS::Serverless::HttpApi}, B: {Type: AWS::Serverless::HttpApi}}", want: "second HTTP API"},
		"a REST API":                      {source: "Resources: {A: {Type: AWS::Serverless::Api}}", want: "can't be run on one machine"},
		"a condition that needs itself":   {source: "Conditions: {A: !Not [!Condition A]}\nResources: {Q: {Type: AWS::SQS::Queue, Condition: A}}", want: "depends on itself"},
		"a table without a partition key": {source: "Resources: {T: {Type: AWS::DynamoDB::Table}}", want: "no HASH"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template, err := Parse([]byte(c.source))
			if err == nil {
				_, err = template.Resolve(c.options)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestGlobalsAreMergedAsSAMDoes(t *testing.T) {
	t.Parallel()
	f := resolve(t, `
Globals:
  Function: {Timeout: 7, MemorySize: 256, LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: DEBUG}, Environment: {Variables: {A: global, B: global}}}
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {MemorySize: 512, LoggingConfig: {LogGroup: x}, Environment: {Variables: {B: own, C: own}}, ReservedConcurrentExecutions: 3}}
`).Functions[0]
	want := Function{LogicalID: "F", Name: "F", Timeout: 7 * time.Second, MemoryMB: 512, ReservedConcurrency: 3, JSONLogs: true, LogLevel: "DEBUG",
		Environment: map[string]string{"A": "global", "B": "own", "C": "own"}}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
}

func TestEventsAndResourcesAreRead(t *testing.T) {
	t.Parallel()
	app := resolve(t, `
Conditions: {Never: !Equals [a, b]}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Crm
        Authorizers: {Crm: {AuthorizationScopes: [any], JwtConfiguration: {issuer: https://i, audience: [a, b]}}}
      CorsConfiguration: {AllowOrigins: [https://crm], AllowMethods: [GET], MaxAge: 60, AllowCredentials: true}
  Gone: {Type: AWS::SQS::Queue, Condition: Never}
  Alarm: {Type: AWS::CloudWatch::Alarm, Properties: {X: !ImportValue y}}
  Dead: {Type: AWS::SQS::Queue}
  Work: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: 60, RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 4}}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: things
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}, {AttributeName: sk, AttributeType: S}, {AttributeName: g, AttributeType: N}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: sk, KeyType: RANGE}]
      GlobalSecondaryIndexes: [{IndexName: by-g, KeySchema: [{AttributeName: g, KeyType: HASH}], Projection: {ProjectionType: INCLUDE, NonKeyAttributes: [x]}}]
      TimeToLiveSpecification: {AttributeName: ttl, Enabled: true}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        A: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: post, Path: /a, Auth: {AuthorizationScopes: [w]}}}
        B: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: get, Path: /b, TimeoutInMillis: 5000}}
        C: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: get, Path: /c, Auth: {Authorizer: NONE}}}
        Q: {Type: SQS, Properties: {Queue: !GetAtt Work.Arn, BatchSize: 20, MaximumBatchingWindowInSeconds: 2, ScalingConfig: {MaximumConcurrency: 5}, FunctionResponseTypes: [ReportBatchItemFailures]}}
        R: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(5 minutes), Input: '{"a":1}', State: DISABLED}}
        S: {Type: Schedule, Properties: {Schedule: rate(1 hour), Enabled: true}}
`)
	want := &App{
		API: API{LogicalID: "Api", Authorizers: map[string]Authorizer{"Crm": {Issuer: "https://i", Audiences: []string{"a", "b"}, Scopes: []string{"any"}}},
			CORS: &CORS{AllowOrigins: []string{"https://crm"}, AllowMethods: []string{"GET"}, MaxAge: 60, AllowCredentials: true}},
		Queues: []Queue{
			{LogicalID: "Dead", Name: "Dead", Attributes: map[string]string{}},
			{LogicalID: "Work", Name: "Work", Attributes: map[string]string{"VisibilityTimeout": "60"}, DeadLetterARN: "arn:aws:sqs:us-east-1:000000000000:Dead", MaxReceiveCount: 4},
		},
		Tables: []Table{{LogicalID: "Table", Name: "things", Attributes: map[string]string{"pk": "S", "sk": "S", "g": "N"}, Key: Key{"pk", "sk"},
			Global: []Index{{Name: "by-g", Key: Key{Partition: "g"}, Projection: "INCLUDE", NonKey: []string{"x"}}}}},
		Functions: []Function{{LogicalID: "F", Name: "F", Timeout: 3 * time.Second, MemoryMB: 128, Environment: map[string]string{},
			Routes: []Route{
				{Method: "POST", Path: "/a", Authorizer: "Crm", Scopes: []string{"w"}, Timeout: 30 * time.Second},
				{Method: "GET", Path: "/b", Authorizer: "Crm", Scopes: []string{"any"}, Timeout: 5 * time.Second},
				{Method: "GET", Path: "/c", Timeout: 30 * time.Second},
			},
			Queues: []QueueSource{{QueueID: "Work", BatchSize: 20, Window: 2 * time.Second, MaximumConcurrency: 5, ReportFailures: true}},
			Schedules: []Schedule{
				{Name: "FR", Expression: "rate(5 minutes)", Input: `{"a":1}`, Disabled: true},
				{Name: "FS", Expression: "rate(1 hour)"},
			}}},
	}
	if !reflect.DeepEqual(app, want) {
		t.Errorf("got  %+v\nwant %+v", app, want)
	}
}

func TestTheProjectsTemplateCanBeRunOnOneMachine(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	app := resolve(t, string(source))
	if len(app.Functions) == 0 || len(app.Tables) == 0 || len(app.Queues) == 0 || app.API.LogicalID == "" {
		t.Errorf("it has %d functions, %d tables, %d queues, API %q", len(app.Functions), len(app.Tables), len(app.Queues), app.API.LogicalID)
	}
	for _, f := range app.Functions {
		for _, r := range f.Routes {
			if r.Authorizer != "" && (len(r.Scopes) != 1 || strings.HasPrefix(r.Scopes[0], "map[")) {
				t.Errorf("route %s %s has scopes %v", r.Method, r.Path, r.Scopes)
			}
		}
		if len(f.Routes)+len(f.Queues)+len(f.Schedules) == 0 {
			t.Errorf("nothing invokes %s", f.LogicalID)
		}
	}
}

func resolve(t *testing.T, source string) *App {
	t.Helper()
	template, err := Parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	app, err := template.Resolve(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return app
}
