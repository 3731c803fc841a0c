/* The queue's protocol as a Spin model: claim, submit, merge, land, crashes, rollback, rebuild.
 *
 * Three tasks (the last waits for the first), two agents, a merger, an operator, a Redis and a git branch.
 * Every d_step block is one thing that the system does in one piece: a Lua script, a push, a write to the API
 * server; the comment above it names its source. Between two blocks anything else may happen, for any length of
 * time: an agent that is not scheduled is a frozen agent. Checked by `make model`; read docs/model.md with it.
 *
 * What is left out, and where it is covered: repairs (fix_bug), attempts and escalations, money, affinity
 * (the stateful tests of the queue against its model in Python).
 *
 * Bounds (-D): FAULTS lost answers, crashes and other mishaps outside of Redis; RESTARTS of Redis, of which
 * LOSSES come back with an older state or with none.
 * Properties (-D), checked when asked for: ONCE, FENCE, VERDICT, ENDS; said in words in cases.py.
 * Parts taken out (-D): NO_EPOCH, the epoch stays 1; NO_CHECK, the merger does not look for trailers before it
 * builds; EAGER, claims are given before the operator has seen a loss; NO_REAP, leases do not end.
 */
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#ifndef LOSSES
#define LOSSES 1
#endif

#define TASKS 3
#define AGENTS 2
#define EACH(t) t : 0 .. 2
#define NONE 0
#define bit_of(t) (1 << (t))

#ifdef ONCE
#define once(x) assert(x)
#else
#define once(x) skip
#endif
#ifdef FENCE
#define fence(x) assert(x)
#else
#define fence(x) skip
#endif
#ifdef VERDICT
#define same_verdict(x) assert(x)
#else
#define same_verdict(x) skip
#endif
#ifdef ENDS
#define all_ended(x) assert(x)
#else
#define all_ended(x) skip
#endif

/* States of a task: swarmrun/core/task.py, TRANSITIONS. UNKNOWN: the store does not have it. */
#define UNKNOWN 0
#define PENDING 1
#define READY 2
#define LEASED 3
#define SUBMITTED 4
#define COMPLETED 5

/* What Redis holds of a run. A token is epoch and counter, as `<epoch>-<counter>`. Attempts are numbered by the
 * model; no process of the system sees that number. It stands for the attempt's change set as well, since no two
 * attempts write the same. Numbers that nobody remembers are used again, which makes equal states equal. */
#define token_of(e, c) ((e) * 16 + (c))
typedef Store {
  byte epoch;          /* run.epoch; 0: the run is not there */
  byte generation;     /* run.generation: the server that open.lua saw */
  byte counter;        /* run.counter */
  bit running;         /* run.state */
  byte unreported;     /* run.unreported: 1 claims wait for the merger's word, 2 they have waited long enough */
  byte state[TASKS];
  byte token[TASKS];   /* of a lease or a submission; in other states nothing compares it */
  byte attempt[TASKS]  /* the one that this lease was given to; the one whose change set was accepted */
}

Store redis;           /* as it is */
Store image;           /* as it was once: an older AOF, a replica that lagged */
bit imaged;            /* there is an image */
byte server = 1;       /* run id of the Redis process */

byte cr_epoch;         /* status.queueEpoch of the SwarmRun, in the API server */

/* The target branch: commits of each task on it. */
byte landings[TASKS];
#define trailers ((landings[0] -> 1 : 0) + (landings[1] -> 2 : 0) + (landings[2] -> 4 : 0))

/* A push whose sender has given up, or is dead; it may still arrive. */
bit late;
bit late_fits;         /* the branch is still where it was built upon */
byte late_tasks;

/* What the agents have in mind. */
byte work_attempt[AGENTS];
byte work_task[AGENTS];
byte work_token[AGENTS];

/* swarm_merge/merger.py: what one round remembers. A crash and an exception lose all of it. */
byte held_token[TASKS];   /* submissions in hand; 0: none */
byte held_attempt[TASKS];
bit current;              /* the branch is where it was at the last sync or push */
byte known;               /* trailers on it, or what was pushed: to be landed */
byte told_epoch;

byte faults = FAULTS;
byte restarts = RESTARTS;
byte losses = LOSSES;

#define lost (redis.epoch == 0 || redis.generation != server || redis.epoch < cr_epoch)
#define planned (redis.state[0] != UNKNOWN)
#define in_state(s) (redis.state[0] == (s) || redis.state[1] == (s) || redis.state[2] == (s))
#define holds(t, k) (redis.state[t] == LEASED && redis.token[t] == (k))
#define waits_for_merge(t, k) (redis.state[t] == SUBMITTED && redis.token[t] == (k))
#define remembered(t) (work_attempt[0] == redis.attempt[t] || work_attempt[1] == redis.attempt[t])

/* May a claim be given? lib/claiming.lua, closed. EAGER is a store that was rolled back and serves claims until
 * the operator has looked; without it the promise holds that the epoch rises before any claim after a loss. */
#ifdef EAGER
#define own_server true
#else
#define own_server (redis.generation == server)
#endif
#define open_for_claims (redis.epoch && redis.running && redis.unreported != 1 && own_server)

/* lib/tasks.lua, move. */
inline move(id, to) {
  redis.state[id] = to;
  redis.token[id] = 0;
  redis.attempt[id] = NONE
}

/* lib/tasks.lua, free_dependents: task 2 depends on task 0. */
inline free_dependents(done) {
  if
  :: done == 0 && redis.state[2] == PENDING -> move(2, READY)
  :: else
  fi
}

/* lib/tasks.lua, has_landed. */
inline has_landed(id) {
  if
  :: redis.state[id] != UNKNOWN && redis.state[id] != COMPLETED ->
    move(id, COMPLETED);
    free_dependents(id)
  :: else
  fi
}

#define in_store(store, a) (store.attempt[0] == (a) || store.attempt[1] == (a) || store.attempt[2] == (a))
#define in_mind(a) (work_attempt[0] == (a) || work_attempt[1] == (a) || \
                    held_attempt[0] == (a) || held_attempt[1] == (a) || held_attempt[2] == (a))

/* lib/claiming.lua, lease: the token is the epoch and the next number. */
inline claim(me, id) {
  a = 1;
  do
  :: in_store(redis, a) || in_store(image, a) || in_mind(a) -> a++
  :: else -> break
  od;
  redis.counter++;
  assert(redis.counter < 16);
  redis.state[id] = LEASED;
  redis.token[id] = token_of(redis.epoch, redis.counter);
  redis.attempt[id] = a;
  work_attempt[me] = a;
  work_task[me] = id;
  work_token[me] = redis.token[id];
  printf("claim: task %d to attempt %d, token %d-%d\n", id, a, redis.epoch, redis.counter);
  a = 0
}

/* Agents are alike: whoever has nothing in mind stands last. */
inline forget(me) {
  if
  :: me == 0 ->
    work_attempt[0] = work_attempt[1];
    work_task[0] = work_task[1];
    work_token[0] = work_token[1]
  :: else
  fi;
  work_attempt[1] = NONE;
  work_task[1] = 0;
  work_token[1] = 0
}

/* submit.lua, lib/submitting.lua. A token names one claim: whoever shows it is the one it was given to. */
inline submit(me) {
  if
  :: holds(work_task[me], work_token[me]) ->
    printf("submit: attempt %d of task %d: OK\n", work_attempt[me], work_task[me]);
    fence(redis.attempt[work_task[me]] == work_attempt[me]);
    redis.state[work_task[me]] = SUBMITTED;
    redis.attempt[work_task[me]] = work_attempt[me]
  :: else ->                                     /* nothing changes */
    printf("submit: attempt %d of task %d: DUP or STALE\n", work_attempt[me], work_task[me])
  fi
}

/* fail.lua, release.lua: the attempt ends without a change set. */
inline give_back(me) {
  if
  :: holds(work_task[me], work_token[me]) ->
    printf("fail or release: attempt %d of task %d: OK\n", work_attempt[me], work_task[me]);
    fence(redis.attempt[work_task[me]] == work_attempt[me]);
    move(work_task[me], READY)
  :: else                                        /* DUP, STALE */
  fi
}

/* An answer to submit may be lost; then it is sent again. An agent killed leaves its lease behind. */
#define AGENT(me) \
  :: d_step { work_attempt[me] -> submit(me); forget(me) } \
  :: d_step { work_attempt[me] && faults -> faults--; submit(me); printf("its answer is lost\n") } \
  :: d_step { work_attempt[me] && faults -> faults--; give_back(me); forget(me) } \
  :: d_step { \
      work_attempt[me] && faults -> faults--; \
      printf("kill: the agent of attempt %d\n", work_attempt[me]); \
      forget(me) \
    }

#define CLAIM(id) \
  :: d_step { \
      redis.state[id] == READY && !work_attempt[1] && open_for_claims -> \
      if \
      :: work_attempt[0] -> claim(1, id) \
      :: else -> claim(0, id) \
      fi \
    }

active proctype Agents() {
  byte a;
end:
  do
  /* claim.lua. Which of the ready tasks is taken is a matter of speed, so any may be. A claim whose answer is
   * lost is one whose agent dies at once. */
  CLAIM(0)
  CLAIM(1)
  CLAIM(2)
  AGENT(0)
  AGENT(1)
  od
}

/* reap.lua, and claim.lua on its way; also lib/claiming.lua when a pod claims that still holds a task. A lease
 * that nobody remembers surely ends; one that somebody works on ends when its heartbeats do not come through. */
#define EXPIRES(id) \
  :: d_step { redis.state[id] == LEASED && !remembered(id) -> printf("reap: task %d\n", id); move(id, READY) } \
  :: d_step { \
      redis.state[id] == LEASED && remembered(id) && faults -> faults--; \
      printf("reap: task %d, whose agent is frozen\n", id); \
      move(id, READY) \
    }

/* vcs/repo.py, push: fast-forward only, which is a compare and swap of the branch's head. */
inline move_branch() {
  current = 0;
  late_fits = 0
}

inline update_branch(tasks) {
  move_branch();
  printf("the branch takes a push\n");
  for (EACH(n)) {
    if
    :: tasks & bit_of(n) ->
      landings[n]++;
      printf("on the branch: task %d\n", n);
      once(landings[n] == 1)
    :: else
    fi
  }
  n = 0
}

inline drop_held(id) {
  held_token[id] = 0;
  held_attempt[id] = NONE
}

inline forget_round() {
  drop_held(0);
  drop_held(1);
  drop_held(2);
  current = 0;
  known = 0;
  told_epoch = 0
}

inline lose_round() {
  forget_round();
  printf("the merger dies, or its round ends early\n")
}

/* land.lua for one submission in hand. */
inline land(id) {
  if
  :: waits_for_merge(id, held_token[id]) ->
    printf("land: attempt %d of task %d: OK\n", held_attempt[id], id);
    same_verdict(redis.attempt[id] == held_attempt[id]);
    move(id, COMPLETED);
    free_dependents(id)
  :: else                                        /* DUP, STALE */
  fi;
  drop_held(id)
}

/* The answer may be lost, and the merger may die before or after: the round is forgotten either way. */
#define to_land(id) (held_token[id] && (known & bit_of(id)))
#define LAND(id) \
  :: d_step { to_land(id) -> land(id) } \
  :: d_step { to_land(id) && faults -> faults--; land(id); lose_round() } -> goto end \
  :: d_step { to_land(id) && faults -> faults--; lose_round() } -> goto end

/* reject.lua without a repair, and send_back.lua. */
#define REJECT(id) \
  :: d_step { \
      held_token[id] && faults -> faults--; \
      if \
      :: waits_for_merge(id, held_token[id]) -> \
        printf("reject: attempt %d of task %d: OK\n", held_attempt[id], id); \
        same_verdict(redis.attempt[id] == held_attempt[id]); \
        move(id, READY) \
      :: else                                    /* DUP, STALE */ \
      fi; \
      drop_held(id) \
    } -> \
    goto batch

/* The gates are green for all that is in hand, or for its first; the others meet the head that it makes. */
#define all_in_hand ((held_token[0] -> 1 : 0) + (held_token[1] -> 2 : 0) + (held_token[2] -> 4 : 0))
#define first_in_hand (held_token[0] -> 1 : (held_token[1] -> 2 : 4))

/* _land: the push. DONE; or UNKNOWN, or the merger is killed meanwhile: then it arrived, or will, or never does.
 * One at a time: an older one never arrives then. */
#define PUSH(tasks) \
  :: d_step { in_hand && current -> known = tasks; update_branch(known); current = 1 } -> goto landing \
  :: d_step { \
      in_hand && faults -> faults--; \
      late = 1; \
      late_fits = current; \
      late_tasks = tasks; \
      printf("push: its answer is lost\n"); \
      lose_round() \
    } -> \
    goto end

#define in_hand (held_token[0] || held_token[1] || held_token[2])

active proctype Merger() {
  byte n;

end:
  if
  /* _tell_landed: unreported_epoch; _sync; then mark_landed.lua. */
  :: d_step { redis.epoch && redis.unreported && planned -> told_epoch = redis.epoch; known = trailers };
    d_step {
      if
      :: redis.epoch == told_epoch && planned && redis.unreported ->
        for (EACH(n)) {
          if
          :: known & bit_of(n) -> has_landed(n)
          :: else
          fi
        }
        n = 0;
        printf("mark_landed: OK\n");
        redis.unreported = 0
      :: else                                    /* DUP, STALE */
      fi;
      forget_round()
    };
    goto end
  /* round: submissions.lua, which leaves them where they are; _sync. Nothing that happens between these two can
   * tell them apart from one. */
  :: d_step {
      redis.epoch && in_state(SUBMITTED) ->
      for (EACH(n)) {
        if
        :: redis.state[n] == SUBMITTED ->
          held_token[n] = redis.token[n];
          held_attempt[n] = redis.attempt[n]
        :: else
        fi
      }
      n = 0;
      printf("the merger takes what is submitted, and looks at the branch\n");
      current = 1;
#ifndef NO_CHECK
      known = trailers
#endif
    }
  fi;

  /* _triage: what has its trailer on the branch is landed, not built again. _land: so is what was just pushed. */
landing:
  do
  LAND(0)
  LAND(1)
  LAND(2)
  :: d_step { !to_land(0) && !to_land(1) && !to_land(2) -> known = 0 } -> break
  od;

batch:
  if
  :: d_step { !in_hand -> forget_round() } -> goto end
  REJECT(0)
  REJECT(1)
  REJECT(2)
  PUSH(all_in_hand)
  PUSH(first_in_hand)
  /* PushOutcome.MOVED: BranchMovedError ends the round. */
  :: d_step { in_hand && !current -> forget_round() } -> goto end
  /* Killed, or an exception, before the push. */
  :: d_step { in_hand && faults -> faults--; lose_round() } -> goto end
  fi
}

/* open.lua. Under every epoch but the first the branch may know more than the store. */
inline open_queue(epoch_, server_) {
  if
  :: epoch_ >= redis.epoch ->
    if
#ifdef NO_EPOCH
    :: server_ > 1 -> redis.unreported = 1       /* all of the rebuild but the epoch */
#else
    :: epoch_ > redis.epoch && epoch_ > 1 -> redis.unreported = 1
#endif
    :: else
    fi;
    printf("open: epoch %d\n", epoch_);
    redis.epoch = epoch_;
    redis.generation = server_
  :: else
  fi
}

/* enqueue.lua: a known task stays as it is. */
inline enqueue() {
  if
  :: redis.state[0] == UNKNOWN -> redis.state[0] = READY
  :: else
  fi;
  if
  :: redis.state[1] == UNKNOWN -> redis.state[1] = READY
  :: else
  fi;
  if
  :: redis.state[2] == UNKNOWN && redis.state[0] == COMPLETED -> redis.state[2] = READY
  :: redis.state[2] == UNKNOWN && redis.state[0] != COMPLETED -> redis.state[2] = PENDING
  :: else
  fi
}

/* swarm_operator/reconcile.py. `raised` is controller.py's, lost with the process. */
active proctype Operator() {
  byte raised, seen;
end:
  do
  /* _raise_epoch: into the CR, before anything is opened. */
  :: d_step {
      lost && (raised != cr_epoch || cr_epoch == 0);
#ifdef NO_EPOCH
      cr_epoch = 1;
#else
      cr_epoch++;
#endif
      raised = cr_epoch
    }
  /* _open_queue: Open reads the server's run id, then runs the script; Enqueue; SetState. */
  :: d_step { lost && raised == cr_epoch && cr_epoch -> raised = 0; seen = server };
    d_step { open_queue(cr_epoch, seen); seen = 0 };
    if
    :: d_step { enqueue() };
      if
      :: d_step { redis.running = 1 }
      :: d_step { faults -> faults-- }
      fi
    :: d_step { faults -> faults-- }
    fi
  /* _running, _queue_actions: what is missing is made up for on the next look. */
  :: d_step { !lost && !planned -> enqueue() }
  :: d_step { !lost && planned && !redis.running -> redis.running = 1 }
  /* kill -9. */
  :: d_step { faults && raised -> faults--; raised = 0 }
  od
}

inline copy(from, to) {
  to.epoch = from.epoch;
  to.generation = from.generation;
  to.counter = from.counter;
  to.running = from.running;
  to.unreported = from.unreported;
  for (EACH(n)) {
    to.state[n] = from.state[n];
    to.token[n] = from.token[n];
    to.attempt[n] = from.attempt[n]
  }
  n = 0
}

inline clear(store) {
  store.epoch = 0;
  store.generation = 0;
  store.counter = 0;
  store.running = 0;
  store.unreported = 0;
  for (EACH(n)) {
    store.state[n] = UNKNOWN;
    store.token[n] = 0;
    store.attempt[n] = NONE
  }
  n = 0
}

#define all_over (redis.state[0] == COMPLETED && redis.state[1] == COMPLETED && redis.state[2] == COMPLETED \
                  && landings[0] && landings[1] && landings[2])

/* Time, the git remote and Redis itself. */
active proctype World() {
  byte n;
end:
  do
#ifndef NO_REAP
  EXPIRES(0)
  EXPIRES(1)
  EXPIRES(2)
#endif
  /* queue/rules.py, LANDED_WAIT_SECONDS: claims wait for the merger's word, but not for ever. */
  :: d_step {
      redis.unreported == 1 && faults -> faults--;
      redis.unreported = 2;
      printf("claims have waited long enough for the merger's word\n")
    }

  /* A push that nobody waits for any more arrives, if its parent is still the head, or is gone. */
  :: d_step { late && late_fits -> update_branch(late_tasks); late = 0; late_tasks = 0 }
  :: d_step { late -> late = 0; late_fits = 0; late_tasks = 0 }
  /* A person pushes to the branch, too. */
  :: d_step { faults && (current || late_fits) -> faults--; move_branch() }

  /* The state that a loss will come back to. */
  :: d_step {
      restarts && losses && !imaged && redis.epoch ->
      copy(redis, image);
      imaged = 1;
      printf("Redis: this is the state that a loss comes back to\n")
    }
  /* Redis comes back with all that it had acknowledged, */
  :: d_step { restarts -> restarts--; server++; printf("Redis: restart, nothing lost\n") }
  /* with an older state, */
  :: d_step {
      restarts && losses && imaged ->
      restarts--; losses--; server++;
      copy(image, redis);
      clear(image);
      imaged = 0;
      printf("Redis: restart, rolled back\n")
    }
  /* or with nothing. */
  :: d_step {
      restarts && losses ->
      restarts--; losses--; server++;
      clear(redis);
      clear(image);
      imaged = 0;
      printf("Redis: restart, all is lost\n")
    }

  /* From some moment on nothing goes wrong any more. */
  :: d_step { faults || restarts -> faults = 0; restarts = 0; losses = 0; clear(image); imaged = 0 }
  /* Then nothing can happen any more: every task has ended, and is on the branch. */
  :: timeout -> all_ended(all_over); break
  od
}
