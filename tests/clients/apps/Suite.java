// Cases of the applications that are written in Java: run one by one, a line for each.

import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

final class Suite {
    private Suite() {}

    interface Case {
        void run() throws Exception;
    }

    static final String RUN = Optional.ofNullable(System.getenv("RUN")).orElse("");
    private static int failed = 0;

    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    static void equal(Object wanted, Object found, String what) {
        check(wanted.equals(found), what + ": " + found + " instead of " + wanted);
    }

    static void eventually(String what, Callable<Boolean> holds) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!holds.call()) {
            check(System.nanoTime() < end, "not after 60 seconds: " + what);
            Thread.sleep(100);
        }
    }

    static void one(String name, Case body) {
        long began = System.nanoTime();
        try {
            body.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            failed++;
            System.out.println("FAIL " + name + ": " + String.valueOf(error).replace('\n', ' '));
            error.printStackTrace();
        }
        System.err.println(name + " took " + TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began) + " ms");
    }

    static void exit() {
        System.exit(failed == 0 ? 0 : 1);
    }
}
