-- SPDX-License-Identifier: MIT
-- A database in memory: filled, indexed, joined, half deleted, filled again.
create table a(id integer primary key, k integer, v text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 120000)
insert into a select i, (i * 7919) % 10007, printf('value %d %d', i, i * i) from n;
create index ak on a(k);
select count(*), sum(length(v)) from a where k between 100 and 3000;
select count(*) from a x join a y on x.k = y.k where x.id < 4000;
delete from a where id % 2 = 0;
with recursive n(i) as (select 200000 union all select i + 1 from n where i < 260000)
insert into a select i, i % 1009, hex(randomblob(40)) from n;
select count(*) from (select k, group_concat(v) g from a group by k);
