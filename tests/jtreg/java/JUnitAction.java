import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/** A class of JUnit tests. */
final class JUnitAction {
    private JUnitAction() {}

    static void run(Class<?> type) throws Throwable {
        Launcher launcher = LauncherFactory.create();
        SummaryGeneratingListener listener = new SummaryGeneratingListener();
        launcher.execute(LauncherDiscoveryRequestBuilder.request().selectors(DiscoverySelectors.selectClass(type)).build(), listener);
        TestExecutionSummary summary = listener.getSummary();
        if (summary.getTotalFailureCount() > 0) {
            TestExecutionSummary.Failure failure = summary.getFailures().get(0);
            throw new Exception("JUnit: failed " + failure.getTestIdentifier().getDisplayName(), failure.getException());
        }
        if (summary.getTestsFoundCount() == 0) {
            throw new Exception("JUnit: no tests found");
        }
    }
}
