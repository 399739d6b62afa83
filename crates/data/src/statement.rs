//! Static SQL statements, the row types that they return, and the tracing spans in which they run.
//!
//! Each repository declares its statements with [`statements!`] and its row types with [`row!`], which derives the
//! column list from the struct. The test `statements` prepares every statement against a migrated database, as the role
//! that runs it, and compares the result columns with the struct. A query that does not match the schema fails there.

use crate::error::store_error;
use domain::ports::StoreError;
use futures::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Encode, FromRow, PgConnection, Postgres, SqlSafeStr, Type};
use std::marker::PhantomData;
use tracing::{Instrument as _, Span, field};

/// The database role that runs a statement: one of the roles in `LoginRole`, or the owner of the
/// tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DbRole {
    /// The API server's role.
    App,
    /// The background worker's role.
    Worker,
    /// The role that reads the audit log.
    Auditor,
    /// The role of the plant process.
    Plant,
    /// The role that owns the tables, to which the login that applies migrations switches.
    Owner,
}

/// A result column that a row struct reads.
#[cfg(feature = "testing")]
#[derive(Clone, Copy)]
pub struct Field {
    /// Name of the column; empty if the column is read by position.
    pub name: &'static str,
    /// Returns whether the field's Rust type can be decoded from a column of the given type.
    pub accepts: fn(&sqlx::postgres::PgTypeInfo) -> bool,
}

/// A type that is decoded from a row of a statement's result.
pub(crate) trait Record: for<'r> FromRow<'r, PgRow> + Send + Unpin {
    /// The columns that the type reads, for the test that prepares the statements.
    #[cfg(feature = "testing")]
    fn fields() -> Vec<Field>;
}

/// The record of statements whose result is not read.
impl Record for () {
    #[cfg(feature = "testing")]
    fn fields() -> Vec<Field> {
        Vec::new()
    }
}

/// A record of a single column.
#[derive(FromRow)]
pub(crate) struct Scalar<T>(pub(crate) T);

impl<T> Record for Scalar<T>
where
    T: for<'r> sqlx::Decode<'r, Postgres> + Type<Postgres> + Send + Unpin,
{
    #[cfg(feature = "testing")]
    fn fields() -> Vec<Field> {
        vec![Field { name: "", accepts: T::compatible }]
    }
}

/// Two records that are decoded from the same row.
pub(crate) struct Joined<A, B>(pub(crate) A, pub(crate) B);

impl<'r, A: FromRow<'r, PgRow>, B: FromRow<'r, PgRow>> FromRow<'r, PgRow> for Joined<A, B> {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(A::from_row(row)?, B::from_row(row)?))
    }
}

impl<A: Record, B: Record> Record for Joined<A, B> {
    #[cfg(feature = "testing")]
    fn fields() -> Vec<Field> {
        [A::fields(), B::fields()].concat()
    }
}

/// A static SQL statement whose result rows are decoded as `R`.
pub(crate) struct Statement<R> {
    sql: &'static str,
    operation: &'static str,
    /// Name of the table, or of the function if `is_function` is set. Empty for statements that use neither.
    target: &'static str,
    is_function: bool,
    activity: &'static str,
    #[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "read by the test that prepares the statements"))]
    role: DbRole,
    record: PhantomData<fn() -> R>,
}

impl<R> Clone for Statement<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Statement<R> {}

impl<R> Statement<R> {
    /// Declares a statement on `table`. `activity` completes "the database failed while …".
    const fn new(operation: &'static str, table: &'static str, activity: &'static str, sql: &'static str) -> Self {
        Self { sql, operation, target: table, is_function: false, activity, role: DbRole::App, record: PhantomData }
    }

    pub(crate) const fn select(table: &'static str, activity: &'static str, sql: &'static str) -> Self {
        Self::new("SELECT", table, activity, sql)
    }

    pub(crate) const fn insert(table: &'static str, activity: &'static str, sql: &'static str) -> Self {
        Self::new("INSERT", table, activity, sql)
    }

    pub(crate) const fn update(table: &'static str, activity: &'static str, sql: &'static str) -> Self {
        Self::new("UPDATE", table, activity, sql)
    }

    pub(crate) const fn delete(table: &'static str, activity: &'static str, sql: &'static str) -> Self {
        Self::new("DELETE", table, activity, sql)
    }

    /// Declares a statement that calls a function and accesses no table itself.
    pub(crate) const fn call(function: &'static str, activity: &'static str, sql: &'static str) -> Self {
        Self { is_function: true, ..Self::new("SELECT", function, activity, sql) }
    }

    /// Sets the role that runs the statement. The default is [`DbRole::App`].
    pub(crate) const fn run_by(self, role: DbRole) -> Self {
        Self { role, ..self }
    }

    /// Describes the statement without its row type, for the test that prepares it.
    #[cfg(feature = "testing")]
    pub(crate) const fn info(self) -> StatementInfo
    where
        R: Record,
    {
        StatementInfo { sql: self.sql, activity: self.activity, role: self.role, fields: R::fields }
    }

    /// Starts a query, to which the caller binds the parameters in order.
    pub(crate) fn query<'q>(self) -> Query<'q, R> {
        self.query_as_sql(self.sql)
    }

    /// Like [`Self::query`] with a modified SQL text, for a part of the statement that cannot be a bind parameter.
    pub(crate) fn query_as_sql<'q>(self, sql: impl SqlSafeStr) -> Query<'q, R> {
        Query { statement: self, inner: sqlx::query(sql) }
    }

    /// The SQL text, with `$n` parameters.
    pub(crate) const fn sql(self) -> &'static str {
        self.sql
    }

    /// A span with attributes of OpenTelemetry's semantic conventions for database clients. It contains no parameters.
    /// A statement of a background task, which runs outside any span, gets none, so that polling does not fill the
    /// collector with traces of a single statement.
    fn span(&self) -> Span {
        if Span::current().is_none() {
            return Span::none();
        }
        let span = tracing::debug_span!(
            "db.query",
            otel.name = format!("{} {}", self.operation, self.target).trim_end(),
            otel.kind = "client",
            otel.status_code = field::Empty,
            db.system.name = "postgresql",
            db.operation.name = self.operation,
            db.collection.name = field::Empty,
            db.stored_procedure.name = field::Empty,
            db.response.status_code = field::Empty,
            error.type = field::Empty,
        );
        let target = if self.is_function { "db.stored_procedure.name" } else { "db.collection.name" };
        if !self.target.is_empty() {
            span.record(target, self.target);
        }
        span
    }

    /// Converts an error of the statement, and records it in the statement's span.
    fn failed(self, span: Span) -> impl FnOnce(sqlx::Error) -> StoreError {
        move |error| {
            record_error(&span, &error);
            store_error(self.activity)(error)
        }
    }
}

/// Records the SQLSTATE, or that the failure was not the server's. The error's message may contain values.
fn record_error(span: &Span, error: &sqlx::Error) {
    if span.is_disabled() {
        return;
    }
    span.record("otel.status_code", "error");
    match error.as_database_error().and_then(|error| error.code()) {
        Some(code) => {
            span.record("db.response.status_code", &*code);
            span.record("error.type", &*code);
        }
        None => {
            span.record("error.type", "client");
        }
    }
}

/// A span for a command that begins or ends a transaction. Like a statement, it is traced only within another span.
pub(crate) fn transaction_span(command: &'static str) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    let system = "postgresql";
    tracing::debug_span!("db.transaction", otel.name = command, otel.kind = "client", db.system.name = system)
}

/// Description of a statement for the test that prepares it.
#[cfg(feature = "testing")]
#[derive(Clone, Copy)]
pub struct StatementInfo {
    /// The SQL text, with `$n` parameters.
    pub sql: &'static str,
    /// What the statement does, as used in error messages: completes "the database failed while …".
    pub activity: &'static str,
    /// The role that runs the statement.
    pub role: DbRole,
    /// Returns the result columns that are read.
    pub fields: fn() -> Vec<Field>,
}

/// A statement with the parameters bound so far.
pub(crate) struct Query<'q, R> {
    statement: Statement<R>,
    inner: sqlx::query::Query<'q, Postgres, PgArguments>,
}

impl<'q, R> Query<'q, R> {
    /// Binds the next `$n` parameter.
    pub(crate) fn bind<T>(self, value: T) -> Self
    where
        T: 'q + Encode<'q, Postgres> + Type<Postgres>,
    {
        Self { inner: self.inner.bind(value), ..self }
    }

    /// Runs the statement and discards its result.
    pub(crate) async fn execute(self, connection: &mut PgConnection) -> Result<(), StoreError> {
        self.rows_affected(connection).await.map(drop)
    }

    /// Runs the statement and returns the number of affected rows.
    pub(crate) async fn rows_affected(self, connection: &mut PgConnection) -> Result<u64, StoreError> {
        let span = self.statement.span();
        let result = self.inner.execute(connection).instrument(span.clone()).await;
        result.map(|done| done.rows_affected()).map_err(self.statement.failed(span))
    }

    /// Fetches all rows of the result.
    pub(crate) async fn fetch_all<T>(self, connection: &mut PgConnection) -> Result<Vec<T>, StoreError>
    where
        R: Record,
        T: From<R>,
    {
        let span = self.statement.span();
        let rows = self.inner.fetch_all(connection).instrument(span.clone()).await;
        let records = rows.and_then(|rows| rows.iter().map(|row| R::from_row(row).map(T::from)).collect());
        records.map_err(self.statement.failed(span))
    }

    /// Fetches the first row, or `None` if the result is empty.
    pub(crate) async fn fetch_optional<T>(self, connection: &mut PgConnection) -> Result<Option<T>, StoreError>
    where
        R: Record,
        T: From<R>,
    {
        let span = self.statement.span();
        let row = self.inner.fetch_optional(connection).instrument(span.clone()).await;
        let record = row.and_then(|row| row.map(|row| R::from_row(&row).map(T::from)).transpose());
        record.map_err(self.statement.failed(span))
    }

    /// Fetches the first row. An empty result is an error.
    pub(crate) async fn fetch_one<T>(self, connection: &mut PgConnection) -> Result<T, StoreError>
    where
        R: Record,
        T: From<R>,
    {
        let span = self.statement.span();
        let row = self.inner.fetch_one(connection).instrument(span.clone()).await;
        row.and_then(|row| R::from_row(&row).map(T::from)).map_err(self.statement.failed(span))
    }

    /// Calls `handle` for each row as it arrives from the server. For results that are too large for memory.
    pub(crate) async fn for_each(
        self,
        connection: &mut PgConnection,
        mut handle: impl FnMut(R) + Send,
    ) -> Result<(), StoreError>
    where
        R: Record,
    {
        let Self { statement, inner } = self;
        let read_rows = async {
            let mut rows = inner.fetch(connection);
            while let Some(row) = rows.try_next().await? {
                handle(R::from_row(&row)?);
            }
            Ok(())
        };
        let span = statement.span();
        read_rows.instrument(span.clone()).await.map_err(statement.failed(span))
    }
}

impl<T> Query<'_, Scalar<T>>
where
    Scalar<T>: Record,
{
    /// Fetches the value of the first row. An empty result is an error.
    pub(crate) async fn scalar(self, connection: &mut PgConnection) -> Result<T, StoreError> {
        self.fetch_one::<Scalar<T>>(connection).await.map(|Scalar(value)| value)
    }

    /// Fetches the value of the first row, or `None` if the result is empty.
    pub(crate) async fn optional_scalar(self, connection: &mut PgConnection) -> Result<Option<T>, StoreError> {
        self.fetch_optional::<Scalar<T>>(connection).await.map(|row| row.map(|Scalar(value)| value))
    }

    /// Fetches the values of all rows.
    pub(crate) async fn scalars(self, connection: &mut PgConnection) -> Result<Vec<T>, StoreError> {
        let rows = self.fetch_all::<Scalar<T>>(connection).await?;
        Ok(rows.into_iter().map(|Scalar(value)| value).collect())
    }
}

/// Declares a file's statements as constants, and a list of all of them for the test that prepares them.
macro_rules! statements {
    ($($(#[$doc:meta])* $visibility:vis $name:ident: $record:ty = $statement:expr;)+) => {
        $($(#[$doc])* $visibility const $name: $crate::statement::Statement<$record> = $statement;)+

        /// All statements of this file.
        #[cfg(feature = "testing")]
        pub(crate) const STATEMENTS: &[$crate::statement::StatementInfo] = &[$($name.info()),+];
    };
}

/// Declares a row struct with one field per column. `columns = NAME` also declares a macro: `NAME!()` expands to the
/// column list as a literal for `concat!`, and `NAME!("u.")` to the same list with a prefix before each column.
macro_rules! row {
    ($(#[$doc:meta])* $visibility:vis struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(sqlx::FromRow)]
        $visibility struct $name {
            $($(#[$field_doc])* pub(crate) $field: $type,)+
        }

        impl $crate::statement::Record for $name {
            #[cfg(feature = "testing")]
            fn fields() -> Vec<$crate::statement::Field> {
                vec![$($crate::statement::Field {
                    name: stringify!($field),
                    accepts: <$type as sqlx::Type<sqlx::Postgres>>::compatible,
                }),+]
            }
        }
    };
    ($(#[$doc:meta])* $visibility:vis struct $name:ident, columns = $columns:ident {
        $first:ident: $first_type:ty, $($field:ident: $type:ty,)*
    }) => {
        $crate::statement::row! {
            $(#[$doc])* $visibility struct $name { $first: $first_type, $($field: $type,)* }
        }
        $crate::statement::column_list! { ($) $columns $first $($field)* }
    };
}

/// The part of [`row!`] that declares the column-list macro. The first argument must be `($)`, because a macro cannot
/// write a dollar sign into the macro that it declares.
macro_rules! column_list {
    (($dollar:tt) $columns:ident $first:ident $($field:ident)*) => {
        macro_rules! $columns {
            () => { concat!(stringify!($first) $(, ", ", stringify!($field))*) };
            ($dollar prefix:literal) => {
                concat!($dollar prefix, stringify!($first) $(, ", ", $dollar prefix, stringify!($field))*)
            };
        }
    };
}

pub(crate) use {column_list, row, statements};
