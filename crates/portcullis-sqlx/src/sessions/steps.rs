//! The steps of each call, which are the same for both databases; what they say to it is not.

/// How many sessions are ended in one go, where all of an issuer's are: as many as are ended within a second.
pub(crate) const END_STEP: usize = 1000;

/// What a store of sessions does: `$store` is a `Database` inside. Its file has the statements,
/// `end_step_on` and `prune_on`.
macro_rules! session_store {
    ($store:ident, $database:ident, $connection:ident) => {
        impl $store {
            /// Keeps a session that [begins](portcullis_issuer::Sessions::prepare), in a transaction of yours: one that makes the account,
            /// or that looks at the password.
            ///
            /// With SQLite, begin it by `BEGIN IMMEDIATE`: one that writes only after it read may fail where another writes.
            ///
            /// # Errors
            ///
            /// The database cannot be asked, or this release cannot go by its tables.
            pub async fn create_in(
                &self,
                transaction: &mut sqlx::Transaction<'_, $database>,
                issuer: &str,
                new: NewSession<'_>,
            ) -> Result<Created, StoreError> {
                $crate::call::within(self.0.deadline, async {
                    self.0.enter(transaction).await?;
                    self.create_on(transaction, issuer, new).await
                })
                .await
            }

            /// Logs a subject out everywhere, in a transaction of yours: one that changes its password, so that both are there or
            /// neither. Once that is committed, have [what ended revoked](portcullis_issuer::Sessions::revoke_ended).
            ///
            /// With SQLite, begin it by `BEGIN IMMEDIATE`: one that writes only after it read may fail where another writes.
            ///
            /// # Errors
            ///
            /// The database cannot be asked, or this release cannot go by its tables.
            pub async fn end_all_in(
                &self,
                transaction: &mut sqlx::Transaction<'_, $database>,
                issuer: &str,
                subject: &str,
                but: Option<SessionId>,
                reason: EndReason,
            ) -> Result<EndedAll, StoreError> {
                $crate::call::within(self.0.deadline, async {
                    self.0.enter(transaction).await?;
                    self.end_all_on(transaction, issuer, subject, but, reason).await
                })
                .await
            }

            /// Ends all sessions of an issuer, whoever they are of, as after a backup was restored. How many it ended.
            ///
            /// It goes through them by their ids. 1000 at a time are ended, each time in a transaction of its own, so that no more
            /// are ever locked: instances go on meanwhile. Sessions that others are changing are passed over at first, and ended one by one
            /// afterwards, so that nobody waits in a circle. One that begins meanwhile may be ended as well, and may not. Versions of
            /// subjects stay.
            ///
            /// Instances that run [revoke](portcullis_issuer::Sessions::catch_up) what ended, by themselves.
            ///
            /// # Errors
            ///
            /// The database cannot be asked, or this release cannot go by its tables. What was ended until then stays ended: call
            /// it again for the others.
            pub async fn end_everything(
                &self,
                issuer: &str,
                reason: EndReason,
            ) -> Result<u64, StoreError> {
                use $crate::sessions::END_STEP;
                let mut count = 0;
                let mut after = None;
                loop {
                    let step = call!(&self.0, |connection| {
                        let mut transaction = self.0.change(connection).await?;
                        let step =
                            self.end_step_on(&mut transaction, issuer, after, reason).await?;
                        transaction.commit().await?;
                        step
                    })?;
                    count += u64::try_from(step.len()).unwrap_or(u64::MAX);
                    after = step.last().copied();
                    if step.len() < END_STEP {
                        break;
                    }
                }
                let mut after = None;
                loop {
                    let left = call!(&self.0, |connection| {
                        let mut transaction = self.0.change(connection).await?;
                        let left = self.query(NOT_ENDED).bind(issuer);
                        let left = left.bind(after.map(|id: SessionId| id.as_bytes().to_vec()));
                        let left = left.bind($crate::sessions::limit(END_STEP));
                        let left = left.fetch_all(&mut *transaction).await?;
                        transaction.commit().await?;
                        $crate::sessions::ids(&left)?
                    })?;
                    for id in &left {
                        count += u64::from(self.end(issuer, *id, reason).await?);
                    }
                    after = left.last().copied();
                    if left.len() < END_STEP {
                        return Ok(count);
                    }
                }
            }

            /// A text of the store's file, whose words in capitals stand for what is said there.
            fn query<'q>(&self, sql: &str) -> Query<'q> {
                let session = format!("{} ", $crate::sessions::selected());
                let sql = sql.replace("SEEN", SEEN).replace("SESSION ", &session);
                let sql = sql.replace("IS_LIVE", IS_LIVE).replace("WAS_OVER", WAS_OVER);
                self.0.query(&sql.replace("NOW", NOW))
            }

            /// The next ids that a text selects.
            async fn step_on(
                &self,
                connection: &mut $connection,
                sql: &str,
                issuer: &str,
                after: Option<SessionId>,
                most: usize,
            ) -> Result<Vec<SessionId>, $crate::call::Failure> {
                let step = self.query(sql).bind(issuer).bind($crate::sessions::bytes(after));
                let step = step.bind($crate::sessions::limit(most));
                $crate::sessions::ids(&step.fetch_all(connection).await?)
            }

            async fn rotate_on(
                &self,
                connection: &mut $connection,
                issuer: &str,
                id: SessionId,
                from: SessionVersion,
                to: &Rotation,
            ) -> Result<Swap, $crate::call::Failure> {
                let Ok(from) = i64::try_from(from.0) else { return Ok(Swap::Lost) };
                let mut transaction = self.0.change_at_once(connection).await?;
                let rotated = self
                    .query(ROTATE)
                    .bind(issuer)
                    .bind(&id.as_bytes()[..])
                    .bind(from)
                    .bind(i64::from(to.generation))
                    .bind(&to.current_hash[..])
                    .bind(&to.previous.hash[..])
                    .bind(&to.previous.salt[..])
                    .bind(to.keeps_time)
                    .bind($crate::sessions::millis(to.idle))
                    .bind(&to.mac)
                    .execute(&mut *transaction)
                    .await?;
                transaction.commit().await?;
                Ok(if rotated.rows_affected() > 0 { Swap::Done } else { Swap::Lost })
            }

            async fn create_on(
                &self,
                connection: &mut $connection,
                issuer: &str,
                new: NewSession<'_>,
            ) -> Result<Created, $crate::call::Failure> {
                let NewSession { row, replaces, most } = new;
                let columns = $crate::sessions::SessionColumns::of(row)?;
                let locked = self.query(LOCK_SUBJECT).bind(issuer).bind(&row.subject);
                let version: i64 =
                    locked.fetch_one(&mut *connection).await?.try_get("subject_version")?;
                if version != columns.subject_version {
                    return Ok(Created::Outdated);
                }
                let replaced = self
                    .query(END_REPLACED)
                    .bind(issuer)
                    .bind(&row.subject)
                    .bind($crate::sessions::code(EndReason::TooMany))
                    .bind($crate::sessions::limit(most.saturating_sub(1)))
                    .bind(replaces.map(|id| id.as_bytes().to_vec()))
                    .bind($crate::sessions::code(EndReason::NewLogin));
                let ended = $crate::sessions::ids(&replaced.fetch_all(&mut *connection).await?)?;
                self.insert(issuer, &columns).execute(&mut *connection).await?;
                Ok(Created::Done { ended })
            }

            fn insert<'q>(
                &self,
                issuer: &'q str,
                columns: &$crate::sessions::SessionColumns<'q>,
            ) -> Query<'q> {
                let $crate::sessions::SessionColumns { row, subject_version, version, generation } =
                    columns;
                self.query(INSERT)
                    .bind(issuer)
                    .bind(&row.id.as_bytes()[..])
                    .bind(&row.subject)
                    .bind(&row.client)
                    .bind(row.created_at.as_millis())
                    .bind(row.ends_at.as_millis())
                    .bind(&row.details)
                    .bind(&row.binding)
                    .bind(&row.mac)
                    .bind(*subject_version)
                    .bind(*version)
                    .bind(*generation)
                    .bind(&row.current_hash[..])
                    .bind(row.previous.as_ref().map(|previous| &previous.hash[..]))
                    .bind(row.previous.as_ref().map(|previous| &previous.salt[..]))
                    .bind(row.rotated_at.as_millis())
                    .bind(row.idle_until.as_millis())
                    .bind(row.ended.map(|ended| ended.at.as_millis()))
                    .bind(row.ended.map(|ended| $crate::sessions::code(ended.reason)))
            }

            async fn end_on(
                &self,
                connection: &mut $connection,
                issuer: &str,
                id: SessionId,
                reason: EndReason,
            ) -> Result<Option<SessionId>, $crate::call::Failure> {
                let ended = self
                    .query(END)
                    .bind(issuer)
                    .bind(&id.as_bytes()[..])
                    .bind($crate::sessions::code(reason));
                let ended = ended.execute(connection).await?.rows_affected();
                Ok((ended > 0).then_some(id))
            }

            async fn end_all_on(
                &self,
                connection: &mut $connection,
                issuer: &str,
                subject: &str,
                but: Option<SessionId>,
                reason: EndReason,
            ) -> Result<EndedAll, $crate::call::Failure> {
                let but = but.map(|id| id.as_bytes().to_vec());
                let raised =
                    self.query(RAISE).bind(issuer).bind(subject).fetch_one(&mut *connection);
                let version: i64 = raised.await?.try_get("subject_version")?;
                let ended = self
                    .query(END_ALL)
                    .bind(issuer)
                    .bind(subject)
                    .bind($crate::sessions::code(reason))
                    .bind(&but);
                let ended = $crate::sessions::ids(&ended.fetch_all(&mut *connection).await?)?;
                if let Some(id) = but {
                    let spared =
                        self.query(SPARE).bind(issuer).bind(subject).bind(id).bind(version);
                    spared.execute(&mut *connection).await?;
                }
                Ok(EndedAll {
                    version: $crate::sessions::number("version", version)?,
                    sessions: ended,
                })
            }

            /// Deletes what there is of a subject, as one change.
            async fn erase_on(
                &self,
                connection: &mut $connection,
                issuer: &str,
                subject: &str,
                before: StoreTime,
            ) -> Result<bool, $crate::call::Failure> {
                let mut transaction = self.0.change(connection).await?;
                let locked = self.query(LOCK_SUBJECT).bind(issuer).bind(subject);
                locked.execute(&mut *transaction).await?;
                for sql in [ERASE_SESSIONS, ERASE_SUBJECT] {
                    let erased =
                        self.query(sql).bind(issuer).bind(before.as_millis()).bind(subject);
                    erased.execute(&mut *transaction).await?;
                }
                let is_erased = self.query(IS_ERASED).bind(issuer).bind(subject);
                let is_erased =
                    is_erased.fetch_one(&mut *transaction).await?.try_get("is_erased")?;
                transaction.commit().await?;
                Ok(is_erased)
            }
        }

        impl SessionStore for $store {
            async fn subject(
                &self,
                issuer: &str,
                subject: &str,
            ) -> Result<SubjectRead, StoreError> {
                call!(&self.0, |connection| {
                    let reading = self.query(SUBJECT).bind(issuer).bind(subject);
                    let rows = self.0.read(connection, reading).await?;
                    let version = $crate::columns::first(&rows)?.try_get("subject_version")?;
                    SubjectRead {
                        now: $crate::sessions::now(&rows)?,
                        version: $crate::sessions::number("version", version)?,
                    }
                })
            }

            async fn create(
                &self,
                issuer: &str,
                new: NewSession<'_>,
            ) -> Result<Created, StoreError> {
                call!(&self.0, |connection| {
                    let mut transaction = self.0.change(connection).await?;
                    let created = self.create_on(&mut transaction, issuer, new).await?;
                    match created {
                        Created::Done { .. } => transaction.commit().await?,
                        Created::Outdated => transaction.rollback().await?,
                    }
                    created
                })
            }

            async fn read(&self, issuer: &str, id: SessionId) -> Result<SessionRead, StoreError> {
                call!(&self.0, |connection| {
                    let reading = self.query(READ).bind(issuer).bind(&id.as_bytes()[..]);
                    let rows = self.0.read(connection, reading).await?;
                    let version =
                        $crate::columns::first(&rows)?.try_get("current_subject_version")?;
                    SessionRead {
                        now: $crate::sessions::now(&rows)?,
                        row: $crate::sessions::sessions(&rows)?.pop(),
                        subject_version: $crate::sessions::number("version", version)?,
                    }
                })
            }

            async fn rotate(
                &self,
                issuer: &str,
                id: SessionId,
                from: SessionVersion,
                to: &Rotation,
            ) -> Result<Swap, StoreError> {
                call!(&self.0, |connection| self
                    .rotate_on(connection, issuer, id, from, to)
                    .await?)
            }

            async fn end(
                &self,
                issuer: &str,
                id: SessionId,
                reason: EndReason,
            ) -> Result<bool, StoreError> {
                call!(&self.0, |connection| {
                    let mut transaction = self.0.change(connection).await?;
                    let ended = self.end_on(&mut transaction, issuer, id, reason).await?;
                    transaction.commit().await?;
                    ended.is_some()
                })
            }

            async fn end_all(
                &self,
                issuer: &str,
                subject: &str,
                but: Option<SessionId>,
                reason: EndReason,
            ) -> Result<EndedAll, StoreError> {
                call!(&self.0, |connection| {
                    let mut transaction = self.0.change(connection).await?;
                    let ended =
                        self.end_all_on(&mut transaction, issuer, subject, but, reason).await?;
                    transaction.commit().await?;
                    ended
                })
            }

            async fn list(
                &self,
                issuer: &str,
                subject: &str,
                after: Option<ListedAfter>,
                most: usize,
            ) -> Result<Vec<SessionRow>, StoreError> {
                call!(&self.0, |connection| {
                    let reading = self
                        .query(LIST)
                        .bind(issuer)
                        .bind(subject)
                        .bind(after.map(|after| after.created_at.as_millis()))
                        .bind($crate::sessions::bytes(after.map(|after| after.id)))
                        .bind($crate::sessions::limit(most));
                    $crate::sessions::sessions(&self.0.read(connection, reading).await?)?
                })
            }

            async fn ended(
                &self,
                issuer: &str,
                since: StoreTime,
                after: Option<EndedSession>,
                most: usize,
            ) -> Result<Vec<EndedSession>, StoreError> {
                call!(&self.0, |connection| {
                    let reading = self
                        .query(ENDED)
                        .bind(issuer)
                        .bind(since.as_millis())
                        .bind(after.map(|after| after.at.as_millis()))
                        .bind($crate::sessions::bytes(after.map(|after| after.id)))
                        .bind($crate::sessions::limit(most));
                    $crate::sessions::ended(&self.0.read(connection, reading).await?)?
                })
            }

            async fn raised(
                &self,
                issuer: &str,
                since: StoreTime,
                after: Option<&RaisedSubject>,
                most: usize,
            ) -> Result<Vec<RaisedSubject>, StoreError> {
                call!(&self.0, |connection| {
                    let reading = self
                        .query(RAISED)
                        .bind(issuer)
                        .bind(since.as_millis())
                        .bind(after.map(|after| after.at.as_millis()))
                        .bind(after.map(|after| after.subject.as_str()))
                        .bind($crate::sessions::limit(most));
                    $crate::sessions::raised(&self.0.read(connection, reading).await?)?
                })
            }

            async fn prune(
                &self,
                issuer: &str,
                before: StoreTime,
                after: Option<SessionId>,
                most: usize,
            ) -> Result<Option<SessionId>, StoreError> {
                call!(&self.0, |connection| {
                    let mut transaction = self.0.change(connection).await?;
                    let last = self.prune_on(&mut transaction, issuer, before, after, most).await?;
                    transaction.commit().await?;
                    last
                })
            }

            async fn erase(
                &self,
                issuer: &str,
                subject: &str,
                before: StoreTime,
            ) -> Result<bool, StoreError> {
                call!(&self.0, |connection| self
                    .erase_on(connection, issuer, subject, before)
                    .await?)
            }
        }
    };
}

pub(crate) use session_store;
